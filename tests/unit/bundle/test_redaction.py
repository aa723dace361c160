"""No secret passes the redaction, in whatever form; keys and harmless texts stay."""

from __future__ import annotations

import base64
import json
import re
import string
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.bundle.redaction import BLANK, SECRET_KEY, Redaction

PRINTABLE = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cs", "Cc")), min_size=1
)
SECRETS = PRINTABLE.map(lambda text: f"S3cr3t{text}")
"""Values that can be found in a text if the redaction leaves them there."""
SECRET_KEYS = st.sampled_from(
    [
        *("password", "WANDB_API_KEY", "submit_token", "clientSecret", "Authorization", "pri_key"),
        *("MLFLOW_TRACKING_PASSWORD", "session-cookie", "passphrase", "client-key-data", "x-access-key"),
    ]
)
NEUTRAL_KEYS = st.text(string.ascii_lowercase, min_size=1).filter(lambda key: not SECRET_KEY.search(key))
HARMLESS = st.text(string.ascii_lowercase + " ", max_size=40).map(
    lambda text: text.strip().replace("bearer", "").replace("basic", "")
)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), HARMLESS)
SECRET_LEAVES = st.dictionaries(NEUTRAL_KEYS, SECRETS, max_size=3)
DOCUMENTS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NEUTRAL_KEYS, inner, max_size=4),
        st.fixed_dictionaries({"name": SECRET_KEYS, "value": SECRETS, "x": inner}),
        st.tuples(SECRET_KEYS.map("--{}".format), SECRETS, inner).map(list),
        st.tuples(SECRET_KEYS, SECRETS).map(list),
        st.dictionaries(
            SECRET_KEYS, st.one_of(SECRETS, st.lists(SECRETS), st.dictionaries(NEUTRAL_KEYS, SECRETS))
        ),
    ),
    max_leaves=12,
)
redaction = Redaction()


def shape(value: Any) -> Any:
    """Return the keys and the structure of a document."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else None


@settings(max_examples=60)
@given(DOCUMENTS)
def test_a_document_keeps_its_keys_and_shape_and_loses_every_secret(document: Any) -> None:
    redacted = redaction.document(document)

    assert shape(redacted) == shape(document)
    assert "S3cr3t" not in json.dumps(redacted)
    assert redaction.document(redacted) == redacted


@settings(max_examples=60)
@given(st.dictionaries(NEUTRAL_KEYS, st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3))))
def test_a_document_without_secrets_stays_as_it_is(document: Any) -> None:
    assert redaction.document(document) == document


@settings(max_examples=60)
@given(
    SECRET_KEYS,
    SECRETS,
    st.sampled_from(
        [
            "{key}={value}",
            "{key}: {value}",
            "{key}: 'a {value}'",
            '{{"{key}": {quoted}, "x": 1}}',
            '\\"{key}\\": \\"{value}\\"',
            "2026-11-30 - INFO - set {key} = {value} and more",
            "GET /path?{key}={url}&x=1 HTTP/1.1",
            "{key}: |\n  {value}\nnext: 1",
            "{key}:\n  - {value}\n  - {value}\nnext: 1",
            "{key}:\n- {value}\nnext: 1",
            "program --{key} {value} --x",
            "{{'name': '{key}', 'value': '{value}'}}",
            '{{"name": "{key}", "optional": null, "value": {quoted}}}',
            '{{"value": {quoted}, "name": "{key}"}}',
            '{{\\"name\\": \\"{key}\\", \\"value\\": \\"{value}\\"}}',
            "- name: {key}\n  value: {value}",
            "- value: {value}\n  name: {key}",
            "- --{key}\n- {value}",
            "['program', '--{key}', '{value}', '--x']",
            '["--{key}",\n  {quoted}]',
            "headers: [('{key}', '{value}')]",
        ]
    ),
    HARMLESS,
)
def test_the_value_of_a_secret_key_is_blanked_in_a_text(
    key: str, secret: str, form: str, before: str
) -> None:
    text = form.format(key=key, value=secret, quoted=json.dumps(secret), url=quote(secret))

    redacted = redaction.text(f"{before}\n{text}\n{before}")

    assert "S3cr3t" not in redacted
    assert redacted.startswith(f"{before}\n")
    assert redacted.endswith(f"\n{before}")
    assert key in redacted
    assert redaction.text(redacted) == redacted


@settings(max_examples=60)
@given(PRINTABLE, SECRETS, HARMLESS)
def test_the_user_info_of_a_url_is_blanked_and_its_host_stays(user: str, password: str, around: str) -> None:
    url = f"https://{quote(user, safe='')}:{quote(password, safe='')}@tracker.example.org/x"

    redacted = redaction.text(f"{around} {url} {around}")

    assert "S3cr3t" not in redacted
    assert f"https://{BLANK}@tracker.example.org/x" in redacted


BODY = st.lists(
    st.text(string.ascii_letters + string.digits + "+/", min_size=64, max_size=64), min_size=1, max_size=9
)


@settings(max_examples=60)
@given(
    BODY,
    st.sampled_from(
        ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
    ),
    st.sampled_from(["\n", "\\n", "\\\\n", "\n2026-11-30 INFO ", "\r\n"]),
    st.sampled_from(["whole", "cut at the end", "cut at the start", "base64"]),
)
def test_no_line_of_a_private_key_remains(lines: list[str], kind: str, separator: str, part: str) -> None:
    pem = separator.join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])
    if part == "cut at the end":
        pem = separator.join([f"-----BEGIN {kind}-----", *lines])
    elif part == "cut at the start":
        pem = separator.join([*lines, f"-----END {kind}-----"])
    elif part == "base64":
        pem = base64.b64encode(pem.encode()).decode()
        lines = [pem[40:]]

    redacted = redaction.text(f"started (1)\n{pem}")

    assert redacted.startswith("started (1)\n")
    assert not any(line in redacted for line in lines)
    assert not redaction.holds_secret(redacted)


def test_the_value_of_an_environment_variable_of_a_chart_is_blanked_and_the_others_stay() -> None:
    password = {"name": "MLFLOW_TRACKING_PASSWORD", "value": "hunter2hunter"}
    proxy = {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}

    redacted = redaction.document(
        {"extraEnv": [password, proxy], "args": ["--token", "abc", "--rounds", "3"]}
    )

    assert redacted == {
        "extraEnv": [password | {"value": BLANK}, proxy],
        "args": ["--token", BLANK, "--rounds", "3"],
    }


def test_a_number_that_is_a_known_secret_is_blanked_in_a_document() -> None:
    known = Redaction(["18002"])

    redacted = known.document({"port": 18002, "rounds": 3})

    assert redacted == {"port": BLANK, "rounds": 3}
    assert not known.holds_secret(json.dumps(redacted))


def test_a_result_of_the_doctor_about_keys_stays() -> None:
    result = {"name": "private-key", "status": "error", "detail": "client.key is missing"}

    assert redaction.document(result) == result
    assert redaction.text(json.dumps(result)) == json.dumps(result)


def test_certificates_and_ordinary_log_lines_stay() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----"
    encoded = base64.b64encode(certificate.encode()).decode()
    lines = [
        certificate,
        f"rootCA: {encoded}",
        "2026-11-30 19:29:24,704 - CoreCell - INFO - site-1: connector to http://localhost:18722 created",
        "site-1: 3 rounds done (loss 0.25), https://docs.example.org/a?b=c",
    ]
    for line in lines:
        assert redaction.text(line) == line


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abcdefgh.12345",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ghp_0123456789abcdefABCDEF",
        "hf_abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "https://store.example.org/b?sv=2020&sig=c2lnbmF0dXJl%2Bx",
        "https://s3.example.org/b?X-Amz-Signature=0a1b2c3d4e5f",
        "curl -u user:pa55w0rd",
        "password is pa55w0rd",
        "Got token 1c266b04-d1a2-4f6e-9d35-1b1c3f6f8a11",
    ],
)
def test_tokens_of_known_forms_are_blanked_anywhere(secret: str) -> None:
    assert re.split(r"[\s:=]", secret)[-1] not in redaction.text(f"the request used {secret} today")


@settings(max_examples=60)
@given(st.text(min_size=5, max_size=30).filter(lambda text: text not in BLANK and text.strip()), HARMLESS)
def test_a_known_secret_is_blanked_in_every_encoding(secret: str, around: str) -> None:
    known = Redaction([secret])
    forms = [secret, json.dumps(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()]

    redacted = known.text(" ".join([around, *forms, around]))

    assert not any(form.strip('"') in redacted.replace(BLANK, "") for form in forms)
    assert not known.holds_secret(redacted) or secret in f" {around} {BLANK} "


def test_a_line_of_a_known_key_is_blanked_without_its_begin_and_end() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    known = Redaction(words=[line])

    for text in (f"x {line} y", f'"a\\n{line}\\nb"', f"[{line}]"):
        assert line not in known.text(text)
        assert known.holds_secret(text)


@pytest.mark.parametrize(
    "text",
    ["A" * 10**5, "-" * 10**5, "token" * 10**4, "a:" * 10**5, "\n x" * 10**4, "value: token, " * 10**4],
)
def test_a_long_text_is_redacted_in_seconds(text: str) -> None:
    start = time.monotonic()

    Redaction(["s3cr3t-value"], ["x" * 64]).text(text)

    assert time.monotonic() - start < 10

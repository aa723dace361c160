"""An invalid project.yml is reported with line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import load_project

from .project_file import (
    VALID,
    WITHOUT_DEPLOYMENT,
    assert_error,
    changed,
    errors,
    invalid_files,
    load,
    with_deployment,
)


@pytest.mark.parametrize(("content", "key", "texts"), invalid_files())
def test_an_error_has_its_line_its_key_and_a_remedy(
    content: str, key: str, texts: list[str], tmp_path: Path
) -> None:
    assert_error(tmp_path, content, key, texts)


def test_all_errors_are_reported_together_sorted_by_line(tmp_path: Path) -> None:
    content = (
        VALID.replace("api_version: 3", "api_version: 5")
        .replace("fed_learn_port", "fed_learn_prot")
        .replace("name: site-2", "name: Site_2")
        .replace("role: project_admin", "role: boss")
        .replace("cert.CertBuilder", "cert.CertBuilders")
        .replace("scheme: grpc", "shceme: grpc")
        .replace("gpus: 1", "gpus: -1")
        + "    site-9: {}\ndeployments: {}\n"
    )

    found = errors(tmp_path, content)

    assert [int(message.split(":")[1]) for message in found] == [1, 9, 14, 20, 28, 29, 37, 41, 42]


def without(part: str, key: str, value: str) -> str:
    """Return the file without the entries of a list whose key has this value."""
    document = yaml.safe_load(WITHOUT_DEPLOYMENT)
    document[part] = [entry for entry in document[part] if value not in entry[key]]
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize("missing", ["WorkspaceBuilder", "StaticFileBuilder", "CertBuilder"])
def test_a_missing_builder_that_kits_require_is_reported(missing: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, without("builders", "path", missing))

    assert f"{missing} is missing" in found


@pytest.mark.parametrize("key", ["api_version", "name", "participants"])
def test_a_missing_section_that_nvflare_requires_is_reported(key: str, tmp_path: Path) -> None:
    document = yaml.safe_load(VALID)
    del document[key]

    found = errors(tmp_path, yaml.safe_dump(document))

    assert any(message.startswith(f"project.yml:1: {key}: missing; write ") for message in found)


def with_server(name: str) -> str:
    return VALID.replace("name: flare.example.org", f"name: {name}")


NO_SUBMITTER = (
    "5: participants: no administrator may submit jobs; give one of them role: project_admin or lead"
)
NO_GPU = (
    "37: deployment.sites.site-1.gpus: cpu images cannot use GPUs; write variant: gpu in deployment.image"
)
VLA = changed("variant: gpu", "variant: cpu, extras: [vla]").replace("      gpus: 1\n", "")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            without("participants", "type", "server"),
            "4: participants: no server; add a participant of type: s",
        ),
        (
            without("participants", "type", "client"),
            "4: participants: no client; add a participant of type: c",
        ),
        (
            without("participants", "type", "admin"),
            "4: participants: no administrator; add a participant of ",
        ),
        (changed("role: project_admin", "role: org_admin"), NO_SUBMITTER),
        (changed("role: project_admin", "role: member"), NO_SUBMITTER),
        (changed("variant: gpu", "variant: cpu"), NO_GPU),
        (VLA, "33: deployment.image.extras: vla requires variant: gpu"),
        (with_server("localhost"), "6: participants[0].name: localhost is a loopback name"),
        (with_server("server.localhost"), "6: participants[0].name: server.localhost is a loopback name"),
    ],
)
def test_an_error_of_several_entries_is_reported_once(content: str, expected: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, content)

    assert found.startswith(f"project.yml:{expected}")


def test_every_suggested_name_is_valid(tmp_path: Path) -> None:
    for name in ("SITE_2", "2", "-", "Ünïversität Köln", "a" * 90, "site.2", "server", "--x--", "%$"):
        found = errors(tmp_path, changed("name: site-2\n", f"name: {name!r}\n"))
        suggested = found[0].rpartition("; use ")[2]

        assert load(tmp_path, changed("name: site-2\n", f"name: {suggested}\n")).sites[1].name == suggested


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MLFLOW_TRACKING_TOKEN=s3cret", "can be read by other users; run: chmod 600"),
        ("# comment\n\nMLFLOW_TRACKING_TOKEN = s3cret", ":3: must be NAME=VALUE"),
        ("MLFLOW_TRACKING_TOKEN=s3cret with spaces", ":1: must be NAME=VALUE, or NAME='VALUE'"),
        ("MLFLOW_TRACKING_TOKEN='s3\0cret'", ":1: must be NAME=VALUE"),
        ("MLFLOW_TRACKING_TOKEN='s3cret\\'", ":1: must be NAME=VALUE"),
        ("MLFLOW_TRACKING_TOKEN=" + "s3cret" * 11_000, "has more than 64 KiB"),
        ("TOKEN=s3cret", ":1: TOKEN must begin with MLFLOW_ or WANDB_"),
        ("WANDB_MODE=s3cret", "WANDB_MODE is in this file and in environment; remove one"),
    ],
)
def test_an_invalid_credentials_file_is_reported_without_its_content(
    text: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "trackers.env"
    file.write_text(text)
    file.chmod(0o644 if "chmod" in expected else 0o600)

    (found,) = errors(
        tmp_path,
        with_deployment("tracking: {environment: {WANDB_MODE: offline}, credentials: trackers.env}"),
    )

    assert found.startswith("project.yml:33: deployment.tracking.credentials: ")
    assert expected in found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(b"", "1: the file is empty", id="empty"),
        pytest.param(b"# nothing\n", "1: the file is empty", id="comments only"),
        pytest.param(b"---\n...\n", "the file is empty", id="an empty document"),
        pytest.param(b"- a\n", "1: the file must be a mapping", id="a list"),
        pytest.param(b"\nhello\n", "2: the file must be a mapping", id="a word"),
        pytest.param(b"a: b\n\x00\n", "2: character 0x00 is not allowed", id="a null byte"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00", "1: character 0x7f", id="a program"),
        pytest.param(b"a: b\nc: \xff\xfe\n", "2: byte 0xff is not UTF-8", id="not UTF-8"),
        pytest.param("a: b".encode("utf-16"), "1: byte 0xff is not UTF-8", id="UTF-16"),
        pytest.param(b"a: b\nb:\n\t- c\n", "3: not valid YAML", id="a tab"),
        pytest.param(b"a: b\nb: [c\n", "not valid YAML", id="an open bracket"),
        pytest.param(b"a: *b\n", "1: not valid YAML: found undefined alias", id="an undefined alias"),
        pytest.param(b"a: b\n---\na: c\n", "2: not valid YAML", id="two documents"),
        pytest.param(b"a: &a [*a]\n", "1: alias *a refers to a value that contains it", id="a cycle"),
        pytest.param(b"a: &a\n  <<: *a\n", "2: alias *a refers to a value", id="a cycle of merges"),
        pytest.param(b"a: 1\nb: {<<: 5}\n", "2: not valid YAML", id="a merge of a scalar"),
        pytest.param(b"[" * 100_000, "more than 40 nested levels", id="depth"),
        pytest.param(b"a: " + b"{a: " * 50_000, "more than 40 nested levels", id="depth of mappings"),
        pytest.param(b"- " * 50_000, "more than 40 nested levels", id="depth of block lists"),
        pytest.param(b"a: 1\n" * 500_000, "larger than 2 MiB", id="size"),
    ],
)
def test_a_file_that_is_not_a_project_has_one_error_with_a_line(
    content: bytes, text: str, tmp_path: Path
) -> None:
    (found,) = errors(tmp_path, content)

    assert text in found


def test_too_many_values_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.project.source.MAX_NODES", 1000)

    assert "1: more than 1000 values" in errors(tmp_path, b"a: [" + b"1," * 1100 + b"]")[0]


@pytest.mark.parametrize(
    "into", ["[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]", "{{<<: [{0}, {0}, {0}, {0}, {0}]}}"]
)
def test_an_alias_bomb_is_rejected_before_expansion(into: str, tmp_path: Path) -> None:
    levels = [f"x-{n}: &x{n} {into.format(f'*x{n - 1}')}" for n in range(1, 30)]

    found = errors(tmp_path, "\n".join(["x-0: &x0 {a: b}", *levels]) + "\n" + VALID)

    assert any("more than" in message for message in found)


@pytest.mark.parametrize(
    "number", ["9" * 5000, "0x" + "f" * 5000, "0b2", "1" + ":59" * 2000, "9223372036854775808"]
)
def test_a_number_that_python_cannot_convert_is_an_error_of_the_file(number: str, tmp_path: Path) -> None:
    found = errors(tmp_path, changed("fed_learn_port: 8002", f"fed_learn_port: {number}"))

    assert found[0].startswith("project.yml:9: participants[0].fed_learn_port: ")


def test_a_path_that_is_not_a_file_has_a_remedy(tmp_path: Path) -> None:
    for path in (tmp_path / "project.yml", tmp_path, tmp_path / ("a" * 300)):
        with pytest.raises(InputError, match=r"--project FILE|cannot be read"):
            load_project(path)

"""Replace secrets in texts and documents. Keys and the structure of documents stay; values are blanked.

A text is redacted by its form (private keys, URLs with user info, tokens, values of keys such as `password`)
and by known secrets. If a form is ambiguous, the rest of the line is blanked: a bundle may lose a word, but
never shows a secret.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any
from urllib.parse import quote

BLANK = "[redacted]"
MIN_KNOWN = 5
"""Length from which a known secret is replaced; shorter ones would blank words."""

_KEY = (
    r"(?:passw(?:or)?d|passphrase|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|priv(?:ate)?[-_]?key"
    r"|pri[-_]?key|key[-_]?data|credential|authorization|cookie)"
)
SECRET_KEY = re.compile(_KEY, re.IGNORECASE)
"""Names of keys whose values are secret, such as `WANDB_API_KEY` or `submit_token`."""
_SECRET_NAME = re.compile(rf"-{{0,2}}[\w.-]{{0,80}}?{_KEY}[\w.-]{{0,80}}", re.IGNORECASE)
_NAME = r"(?:name|key|variable|var|option|header)"
_VALUE = r"(?:\w{0,40}value\w{0,40}|val|data|content|default)"
_NAMING_KEY = re.compile(_NAME, re.IGNORECASE)
_VALUE_KEY = re.compile(_VALUE, re.IGNORECASE)
"""Keys of a pair such as {name: DB_PASSWORD, value: ...}, the form of environment variables in Kubernetes."""

_PRIVATE_KEY = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END \1-----|\Z)", re.DOTALL
)
"""A private key in PEM, also on one line with escaped line breaks; to the end of the text if it is cut."""
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_LINE = re.compile(r"(?:^|\s)[A-Za-z0-9+/=]{4,}\s*$")
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A private key in base64, as in the Secrets of Kubernetes; not a certificate.
    (re.compile(r"LS0tLS1CRUdJTi(?!BDRVJU)[A-Za-z0-9+/=]*"), BLANK),
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/?#'\"<>]*@"), rf"\1{BLANK}@"),
    (re.compile(r"([?&;](?:sig|[\w-]{0,40}signature)=)[^\s&\"'<>]+", re.IGNORECASE), rf"\1{BLANK}"),
    (re.compile(r"((?:^|\s)(?:-u|--user)[ \t=]+[\"']?)[^\s:\"']+:[^\s\"']+"), rf"\1{BLANK}"),
    (
        re.compile(r"\b(token[ \t]+)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
        rf"\1{BLANK}",
    ),
    (
        re.compile(r"\b(passw(?:or)?d|passphrase)([ \t]+is[ \t]+)(?!not\b)[^\s]+", re.IGNORECASE),
        rf"\1\2{BLANK}",
    ),
    (re.compile(r"\b(Bearer|Basic)[ \t]+[^\s\"',;]+", re.IGNORECASE), rf"\1 {BLANK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), BLANK),  # JSON Web Token
    (
        re.compile(
            r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA|ASIA|dckr_pat_)[A-Za-z0-9_-]{12,}"
        ),
        BLANK,
    ),
    # A pair whose value comes before its name.
    (
        re.compile(
            rf"(\b{_VALUE}\\*[\"']?[ \t]*[:=][ \t]*)[^\n]{{1,200}}?"
            rf"([\s,;]+\\*[\"']?{_NAME}\\*[\"']?[ \t]*[:=][ \t]*\\*[\"']?[\w.-]{{0,80}}?{_KEY})",
            re.IGNORECASE,
        ),
        rf"\1{BLANK}\2",
    ),
    # After an option, a key, the name and key of a pair, or a quoted name before a comma: a quoted value, a
    # block on the next lines, or the rest of the line.
    (
        re.compile(
            rf"((?:(?<!-)--[\w-]{{0,40}}{_KEY}[\w-]{{0,40}}(?:[ \t]+|\\*[\"']?[ \t]*\n[ \t]*-[ \t]+))"
            rf"|(?:{_KEY}[\w.-]{{0,80}}+\\*[\"']?[ \t]*[:=][ \t]*)"
            rf"|(?:{_KEY}[\w.-]{{0,80}}+[^{{}}\w][^{{}}]{{0,80}}?\b{_VALUE}\\*[\"']?[ \t]*[:=][ \t]*)"
            rf"|(?:{_KEY}[\w.-]{{0,80}}+\\*[\"']\s*,\s*(?=\\*[\"'])(?!\\*[\"'][\w.-]*\\*[\"']\s*:)))"
            r"(?:(\")(?:[^\"\\\n]|\\.)*\"(?=[\s,;}\])]|\Z)|(')[^'\n]*'(?=[\s,;}\])]|\Z)"
            r"|(?:(?!\[redacted\])[|>\[{][^\n]*)?(?:\n(?:[ \t]+|- )[^\n]*)+|[^\n]+)",
            re.IGNORECASE,
        ),
        rf"\1\2\3{BLANK}\2\3",
    ),
)
_WORD = re.compile(r"[^\s\"'\\,:;<>()\[\]{}]+")


class Redaction:
    """Replace secrets, among them the known ones of a federation.

    Args:
        known: values that are secret wherever they appear.
        words: long values that are compared with whole words only, such as the lines of a thousand keys.
    """

    def __init__(self, known: Iterable[str] = (), words: Iterable[str] = ()) -> None:
        self._known = frozenset(one for one in known if len(one) >= MIN_KNOWN and one not in BLANK)
        self._words = frozenset(words)

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        text = _PRIVATE_KEY.sub(rf"-----BEGIN \1----- {BLANK}", self._without_known(text))
        text = _without_key_ends(text)
        for form, replacement in _FORMS:
            text = form.sub(replacement, text)
        return text

    def document(self, value: Any, *, is_secret: bool = False) -> Any:
        """Return a document (dict, list, scalars) with the same keys and without secrets.

        Args:
            is_secret: blank every value.
        """
        if isinstance(value, dict):
            secret_keys = _secret_keys(value)
            return {
                self.text(key) if isinstance(key, str) else key: self.document(
                    item, is_secret=is_secret or key in secret_keys
                )
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [
                self.document(item, is_secret=is_secret or _names_secret(before, is_pair=len(value) == 2))
                for before, item in zip((None, *value), value, strict=False)
            ]
        if value is None or isinstance(value, bool) or value == "":
            return value
        if is_secret or (isinstance(value, int | float) and self.holds_secret(str(value))):
            return BLANK
        return self.text(value) if isinstance(value, str) else value

    def holds_secret(self, text: str) -> bool:
        """Return whether a text has a known secret or a private key."""
        has_key = re.search(r"PRIVATE KEY(?: BLOCK)?-----(?! \[redacted\])", text)
        return has_key is not None or self._without_known(text) != text

    def _without_known(self, text: str) -> str:
        if self._words:
            text = _WORD.sub(lambda found: self._without_key_line(found[0]), text)
        return self._pattern.sub(BLANK, text) if self._known else text

    def _without_key_line(self, word: str) -> str:
        # An escaped line break leaves an n before the next line of a key.
        return BLANK if word in self._words or word[1:] in self._words else word

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Known secrets in each form that a log may show, the longest first."""
        forms = {form for one in self._known for form in _forms(one)}
        return re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))


def _secret_keys(document: dict[Any, Any]) -> set[Any]:
    """Return the keys whose values are secret, by themselves or because of a name in the document."""
    is_pair = any(
        isinstance(key, str) and _NAMING_KEY.fullmatch(key) and _names_secret(name, is_pair=True)
        for key, name in document.items()
    )
    return {
        key
        for key in document
        if isinstance(key, str) and (SECRET_KEY.search(key) or (is_pair and _VALUE_KEY.fullmatch(key)))
    }


def _names_secret(value: Any, *, is_pair: bool) -> bool:
    """Return whether a value is the option, or in a pair the name, of a secret, such as `--token`."""
    is_name = isinstance(value, str) and _SECRET_NAME.fullmatch(value) is not None
    return is_name and (is_pair or value.startswith("-"))


def _without_key_ends(text: str) -> str:
    """Blank the lines of private keys whose beginning was cut off, as at the start of the end of a log."""
    if not _KEY_END.search(text):
        return text
    lines, is_key = text.split("\n"), False
    for number in reversed(range(len(lines))):
        if found := _KEY_END.search(lines[number]):
            lines[number], is_key = BLANK + lines[number][found.end() :], True
        elif is_key := is_key and bool(_KEY_LINE.search(lines[number])):
            lines[number] = BLANK
    return "\n".join(lines)


def _forms(secret: str) -> tuple[str, ...]:
    encoded = base64.b64encode(secret.encode("utf-8", "surrogateescape")).decode()
    escaped = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    return secret, *escaped, quote(secret, safe="", errors="surrogateescape"), encoded, encoded.rstrip("=")

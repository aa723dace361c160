"""An error in project.yml: its location, its message and its remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.errors import InputError

Location = tuple[str | int, ...]
"""The path from the top of the document to a value: keys, and indexes of lists."""

_PLAIN_KEY = re.compile(r"[\w@%+./-]+")
_LONGEST_QUOTE = 60


class Diagnostic(NamedTuple):
    """One error. `line` overrides the line of the location."""

    at: Location
    text: str
    line: int | None = None


class Mistake(NamedTuple):
    """One error as data: `flarefleet check --json` lists them."""

    file: str
    line: int
    key: str
    """As in `key_of`; empty if the error concerns the whole file."""
    message: str
    remedy: str
    """What to do; empty if the message says it."""

    @classmethod
    def of(cls, file: Path, line: int, key: str, text: str) -> Mistake:
        """Split a text `what is wrong; what to do`."""
        message, _, remedy = text.partition("; ")
        return cls(str(file), line, key, message, remedy)

    def __str__(self) -> str:
        key, remedy = f"{self.key}: " if self.key else "", f"; {self.remedy}" if self.remedy else ""
        return f"{self.file}:{self.line}: {key}{self.message}{remedy}"


class ProjectError(InputError):
    """project.yml has errors."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(map(str, self.mistakes))


def key_of(at: Location) -> str:
    """Return the location as in messages: participants[0].fed_learn_port."""
    written = ""
    for step in at:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            key = step if _PLAIN_KEY.fullmatch(step) and len(step) <= _LONGEST_QUOTE else quoted(step)
            written += f".{key}" if written else key
    return written


def quoted(value: object) -> str:
    """Return a value for a message: on one line, shortened, with quotes if it is a text."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "yes/true" if value else "no/false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST_QUOTE else value[:_LONGEST_QUOTE] + "..."
        return ascii(text) if not text.isprintable() else f"'{text}'"
    return str(value)


def listed(names: Sequence[str], most: int) -> str:
    """Return the names for a message: `a, b and 3 more`."""
    more = len(names) - most
    return f"{', '.join(names[:most]) or 'none'}{f' and {more} more' if more > 0 else ''}"


class Choices:
    """The valid values of something, from which misspelt ones get a suggestion.

    A search takes time in proportion to the number of values, so only the first misspelt values get one.
    """

    _SEARCHES = 50
    _LISTED = 12

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._by_normal_form: dict[str, str] = {}
        for name in self._names:
            self._by_normal_form.setdefault(_normal_form(name), name)
        self._searches = 0

    def closest(self, written: str) -> str | None:
        """Return the value that was probably meant, if any is close."""
        self._searches += 1
        if self._searches > self._SEARCHES:
            return None
        # difflib takes quadratic time in the length, and misspelt keys are short.
        close = difflib.get_close_matches(_normal_form(written[:100]), self._by_normal_form, n=1, cutoff=0.6)
        return self._by_normal_form[close[0]] if close else None

    def available(self, written: str) -> str:
        """Return the list of all valid values, and a suggestion if any is close."""
        likely = self.closest(written)
        return f"available: {', '.join(self._names)}{f'; did you mean {likely}?' if likely else ''}"

    def hint(self, written: str, label: str = "valid keys") -> str:
        """Return `did you mean NAME?`, or the list of valid values after `label`."""
        if likely := self.closest(written):
            return f"did you mean {likely}?"
        return f"{label}: {listed(self._names, self._LISTED)}"


def _normal_form(name: str) -> str:
    """Ignore case and separators: fedLearn-port equals fed_learn_port."""
    return re.sub(r"[-_ ]", "", name).lower()

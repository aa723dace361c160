"""A mistake in project.yml: where it is, what is wrong, and what would be right, in words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

Location = tuple[str | int, ...]
"""The way from the top of the document to a value: keys, and numbers in lists."""

_PLAIN_KEY = re.compile(r"[\w@%+./-]+")
_LONGEST_SHOWN = 60


class Diagnostic(NamedTuple):
    """One mistake. `line` is for what has no place in the document: a file that is no YAML."""

    at: Location
    text: str
    line: int | None = None


def key_of(at: Location) -> str:
    """The location as a reader writes it: participants[0].fed_learn_port."""
    written = ""
    for step in at:
        if isinstance(step, int):
            written += f"[{step}]"
        else:
            key = step if _PLAIN_KEY.fullmatch(step) and len(step) <= _LONGEST_SHOWN else shown(step)
            written += f".{key}" if written else key
    return written


def shown(value: object) -> str:
    """A value as a message quotes it: on one line, and short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "yes/true" if value else "no/false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST_SHOWN else value[:_LONGEST_SHOWN] + "..."
        return ascii(text) if not text.isprintable() else f"'{text}'"
    return str(value)


def did_you_mean(written: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant, if any comes close."""
    return Known(known).nearest(written)


def meant(written: str, known: Iterable[str], otherwise: str = "known here") -> str:
    """The end of a message on an unknown word: the likely right one, or all there are."""
    return Known(known).hint(written, otherwise)


class Known:
    """Words of which one was probably meant.

    Each search takes time with the number of words: of a thousand strangers among a thousand sites only the
    first ones get a suggestion.
    """

    _SEARCHES = 50
    _LISTED = 12

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._by_shape: dict[str, str] = {}
        for name in self._names:
            self._by_shape.setdefault(_shape(name), name)
        self._searches = 0

    def has(self, word: object) -> bool:
        """Whether it is one of them."""
        return isinstance(word, str) and word in self._by_shape.values()

    def nearest(self, written: str) -> str | None:
        """The likely right word, if any comes close."""
        self._searches += 1
        if self._searches > self._SEARCHES:
            return None
        # difflib takes the square of the length; nothing longer than this is a misspelt key.
        close = difflib.get_close_matches(_shape(written[:100]), self._by_shape, n=1, cutoff=0.6)
        return self._by_shape[close[0]] if close else None

    def hint(self, written: str, otherwise: str = "known here") -> str:
        """`did you mean NAME?`, or all names there are."""
        if likely := self.nearest(written):
            return f"did you mean {likely}?"
        more = len(self._names) - self._LISTED
        listed = ", ".join(self._names[: self._LISTED]) or "none"
        return f"{otherwise}: {listed}{f' and {more} more' if more > 0 else ''}"


def _shape(name: str) -> str:
    """What stays of a name when case and separators do not count: fedLearn-port is fed_learn_port."""
    return re.sub(r"[-_ ]", "", name).lower()

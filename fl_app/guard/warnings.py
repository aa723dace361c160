"""Warnings of a job: a file in its results, and the lines that admin sessions show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fl_app.files import write_atomically
from fl_app.guard.finding import Finding
from fl_app.survival.resumable import Resumable, State

WARNINGS_FILE = "warnings.json"
"""File in a job's results."""
WARNINGS_META = "flarefleet.warnings"
"""Key of a finished job's meta: its first warnings, as lines."""
MAX_WARNINGS = 100
"""Warnings of one job; further ones only count."""
MAX_LINES = 20
"""Warnings in a job's meta."""
BY_ROUND = "missing_site"
"""The rule whose warning lists all its rounds: those that a site missed."""
MAX_RANGES = 5
"""Ranges of rounds in one line."""


class Warnings(Resumable):
    """The warnings of one job.

    A warning that repeats, in a later round or by another site, is counted and not repeated: the file stays
    small whatever a job does.

    Args:
        file: where to write them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[tuple[str, str, str], dict[str, Any]] = {}

    def checkpoint(self) -> State:
        """Return the warnings so far."""
        return State(document={"entries": list(self._entries.values())})

    def resume(self, state: State) -> None:
        """Keep the warnings of an earlier process."""
        entries = {(one["rule"], one["site"], one["key"]): one for one in state.document["entries"]}
        self._entries = {**entries, **self._entries}
        self.write()

    def add(self, finding: Finding) -> bool:
        """Record a warning and return whether it is new."""
        key = finding.rule, finding.site, finding.key
        entry = self._entries.get(key)
        if entry is None and len(self._entries) >= MAX_WARNINGS:
            return False
        if entry is not None:
            entry["times"] += 1
            if finding.rule == BY_ROUND and finding.round is not None:
                _add_round(entry.setdefault("rounds", []), finding.round)
                entry["line"] = line_for_rounds(finding, entry["rounds"])
            return False
        self._entries[key] = {**finding.document(), "line": finding.line, "times": 1}
        if finding.rule == BY_ROUND and finding.round is not None:
            self._entries[key]["rounds"] = [[finding.round, finding.round]]
        self.write()
        return True

    def write(self) -> None:
        """Write the warnings, if there are any."""
        if self._entries:
            write_atomically(self._file, json.dumps(list(self._entries.values()), indent=2).encode())


def line_for_rounds(finding: Finding, ranges: Sequence[Sequence[int]]) -> str:
    """Return the line of a warning with all its rounds: `south, rounds 3 to 7 and 9: took no part in ...`.

    Args:
        finding: the warning of one round.
        ranges: first and last round of each range.
    """
    shown = [f"{first} to {last}" if last > first else str(first) for first, last in ranges[:MAX_RANGES]]
    rest = sum(last - first + 1 for first, last in ranges[MAX_RANGES:])
    if rest:
        shown.append(f"{rest} more")
    *before, end = shown
    text = f"{', '.join(before)} and {end}" if before else end
    if text.isdecimal():
        return finding.line
    what = finding.what.replace("this round", "these rounds")
    return replace(finding, what=what, site=f"{finding.site}, rounds {text}", round=None).line


def _add_round(ranges: list[list[int]], number: int) -> None:
    """Add a round to ranges; rounds come in order."""
    if ranges and number == ranges[-1][1] + 1:
        ranges[-1][1] = number
    elif not ranges or number > ranges[-1][1]:
        ranges.append([number, number])


def warning_lines(folders: Iterable[str | Path]) -> list[str]:
    """Return the warnings in the first of the folders that has a file of warnings."""
    for folder in folders:
        try:
            entries = json.loads(Path(folder, WARNINGS_FILE).read_text(encoding="utf-8"))
            return [str(entry["line"]) for entry in entries][:MAX_LINES]
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return []

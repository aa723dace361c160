"""The warnings of a job: repeated ones are counted, and a site that is missing is named with its rounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_app.guard.finding import Finding
from fl_app.guard.outcome import missing_in_round
from fl_app.guard.quorum import Quorum, find_absent_sites
from fl_app.guard.warnings import WARNINGS_FILE, Warnings, warning_lines

ROUNDS = "took no part in the new global model of these rounds."


@pytest.mark.parametrize(
    ("rounds", "line"),
    [
        ([3], "south, round 3: took no part in the new global model of this round."),
        ([3, 3], "south, round 3: took no part in the new global model of this round."),
        ([3, 4, 5], f"south, rounds 3 to 5: {ROUNDS}"),
        ([1, 3, 4, 9], f"south, rounds 1, 3 to 4 and 9: {ROUNDS}"),
        (range(1, 21, 2), f"south, rounds 1, 3, 5, 7, 9 and 5 more: {ROUNDS}"),
    ],
)
def test_a_missing_site_is_named_with_the_rounds_that_it_missed(
    rounds: list[int], line: str, tmp_path: Path
) -> None:
    warnings = Warnings(tmp_path / WARNINGS_FILE)
    assert [warnings.add(missing_in_round("south", number)) for number in rounds].count(True) == 1
    warnings.write()
    (shown,) = warning_lines([tmp_path])
    assert shown.startswith(line)


def test_a_site_that_was_missing_at_the_start_is_named_with_its_rounds_too(tmp_path: Path) -> None:
    warnings = Warnings(tmp_path / WARNINGS_FILE)
    absent = find_absent_sites(Quorum(1, frozenset(), frozenset({"south"})), ())
    assert absent is not None
    for finding in (absent, missing_in_round("south", 1), missing_in_round("south", 2)):
        warnings.add(finding)
    warnings.write()
    assert warning_lines([tmp_path])[0].startswith(f"south, rounds 1 to 2: {ROUNDS}")


def test_any_other_warning_keeps_its_first_round(tmp_path: Path) -> None:
    warnings = Warnings(tmp_path / WARNINGS_FILE)
    for number in (2, 3):
        warnings.add(Finding("is odd", "Look.", site="south", round=number, rule="unchanged_round"))
    warnings.write()
    (entry,) = json.loads((tmp_path / WARNINGS_FILE).read_text())
    assert (entry["line"], entry["times"]) == ("south, round 2: is odd. Look.", 2)

"""Levels of the guard's rules: defaults, the operator's, and those of a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.session.guard_levels import read_levels, write_levels
from fl_app.contract import ENV_GUARD_RULES
from fl_app.guard.finding import Finding
from fl_app.guard.rule_table import RULES, Level, Levels, levels_in_meta, levels_of_environment
from fl_app.guard.warnings import MAX_WARNINGS, WARNINGS_FILE, Warnings, warning_lines


def test_a_job_overrides_the_operator_who_overrides_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV_GUARD_RULES, "untrained=warn,metric=error")
    levels = Levels(levels_of_environment(), levels_in_meta({"custom_props": {"guard": {"metric": "off"}}}))

    assert levels.of("untrained") is Level.WARN
    assert levels.of("metric") is Level.OFF
    assert levels.of("shape") is Level.ERROR
    assert levels.of("") is Level.ERROR


@pytest.mark.parametrize("meta", [{}, {"custom_props": None}, {"custom_props": {"guard": "strict"}}])
def test_a_job_without_levels_has_none(meta: dict[str, Any]) -> None:
    assert levels_in_meta(meta) == {}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("untrained", "must be RULE=LEVEL"),
        ("untraned=warn", "the guard has no rule 'untraned'; it has untrained,"),
        ("large_integer=warn", "large_integer is always an error"),
        ("untrained=strict", "the level of untrained must be error, warn or off"),
    ],
)
def test_an_invalid_level_is_refused_before_anything_is_sent(written: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_levels([written])


def test_levels_are_written_into_the_job_and_keep_its_other_properties(tmp_path: Path) -> None:
    meta = tmp_path / "meta.json"
    meta.write_text('{"name": "x", "custom_props": {"own": 1, "guard": {"metric": "off"}}}')

    write_levels(tmp_path, read_levels(["untrained=warn"]))

    assert json.loads(meta.read_text()) == {
        "name": "x",
        "custom_props": {"own": 1, "guard": {"metric": "off", "untrained": "warn"}},
    }


def test_rule_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_warnings_are_kept_once_and_within_bounds(tmp_path: Path) -> None:
    warnings = Warnings(tmp_path / WARNINGS_FILE)

    assert warnings.add(Finding("is odd", "Look.", "site-1", 1, rule="metric"))
    assert not warnings.add(Finding("is odd", "Look.", "site-1", 2, rule="metric"))
    for number in range(2 * MAX_WARNINGS):
        warnings.add(Finding("is odd", "Look.", f"site-{number}", rule="metric"))
    warnings.write()

    entries = json.loads((tmp_path / WARNINGS_FILE).read_text())
    assert len(entries) == MAX_WARNINGS
    assert entries[0]["times"] > 1
    assert warning_lines([tmp_path / "missing", tmp_path])[0] == "site-1, round 1: is odd. Look."

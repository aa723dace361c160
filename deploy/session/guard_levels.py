"""Levels of the guard's rules for one job: `submit --guard RULE=LEVEL`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from deploy.errors import InputError
from fl_app.guard.rule_table import CUSTOM_PROPS, META_KEY, Level, parse_levels


def read_levels(written: Sequence[str]) -> dict[str, Level]:
    """Return the levels in the values of --guard.

    Raises:
        InputError: a value is not RULE=LEVEL, or a name is unknown.
    """
    levels: dict[str, Level] = {}
    for value in written:
        rule, separator, level = value.partition("=")
        if not separator:
            raise InputError(f"--guard {value}: must be RULE=LEVEL, such as untrained=warn")
        try:
            levels |= parse_levels({rule: level})
        except ValueError as error:
            raise InputError(f"--guard {value}: {error}") from error
    return levels


def write_levels(job: Path, levels: dict[str, Level]) -> None:
    """Write levels into the meta.json of an exported job."""
    if levels:
        file = job / "meta.json"
        meta = json.loads(file.read_text(encoding="utf-8"))
        guard = meta.setdefault(CUSTOM_PROPS, {}).setdefault(META_KEY, {})
        guard.update({rule: level.value for rule, level in levels.items()})
        file.write_text(json.dumps(meta, indent=2), encoding="utf-8")

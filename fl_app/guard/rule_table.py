"""The rules of the guard, and the level of each: what ends a job, and what is only reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fl_app.contract import ENV_GUARD_RULES

CUSTOM_PROPS = "custom_props"
"""NVFlare's key in a job's meta.json for properties of the user's own."""
META_KEY = "guard"
"""Key in a job's `custom_props`: levels of rules for this job."""


class Level(str, Enum):
    """What a finding of a rule does."""

    ERROR = "error"
    """It ends the job."""
    WARN = "warn"
    """It is reported, and the job continues."""
    OFF = "off"


@dataclass(frozen=True)
class Rule:
    """A rule of the guard."""

    name: str
    level: Level
    """Level by default."""
    finds: str
    """What the rule finds, as a noun phrase or a clause."""
    stock: str
    """What NVFlare alone does in that case; `tests/federation/silent_failures.py` measures it."""


_E, _W = Level.ERROR, Level.WARN

RULES = (
    Rule("untrained", _E, "a site returns no parameters, or no site changes one in any round", "completed"),
    Rule("unchanged_round", _W, "no site changes a parameter in one round", "completed"),
    Rule("shape", _E, "another shape, unknown names or missing parameters in a result", "completed"),
    Rule("type", _E, "integers in a result for floating-point parameters", "completed, truncated"),
    Rule("not_finite", _E, "NaN or infinite numbers in a result that the site did not receive", "completed"),
    Rule(
        "global_model", _E, "a new global model that is not finite, or has other names or shapes", "completed"
    ),
    Rule("exploding", _W, "parameters that grow by more than a factor of 1,000 in one round", "completed"),
    Rule("large_result", _E, "a result much larger than the model", "completed"),
    Rule("large_integer", _E, "an integer that NVFlare's messages cannot carry", "waits, names no cause"),
    Rule("unused_result", _E, "a callback, aggregator or filter that raises for a result", "completed"),
    Rule("rejected_result", _W, "a custom aggregator that rejects a result", "completed"),
    Rule("weight", _E, "a number of steps that is not positive, or that only some sites return", "completed"),
    Rule("equal_weights", _W, "no site returns its number of steps: all sites weigh the same", "completed"),
    Rule("key_metric", _E, "a key metric that the job sets and no site returns", "no best model"),
    Rule("default_key_metric", _W, "a key metric of NVFlare's default that no site returns", "no best model"),
    Rule("metric", _W, "a metric that is text, not finite, or returned by some of the sites", "ignored"),
    Rule(
        "metric_direction", _W, "a key metric whose direction contradicts its name or is unknown", "completed"
    ),
    Rule("metric_worsens", _W, "a key metric that is worse after the last round than before", "completed"),
    Rule("stop_condition", _E, "a stop condition that can never be met", "no model, completed"),
    Rule("not_persisted", _E, "no model was stored, or it cannot be read, or it is another one", "completed"),
    Rule("missing_site", _W, "a site that took no part in a round", "completed"),
    Rule("lost_site", _E, "no sign of life of a site that the job waits for", "waits"),
    Rule("stalled_site", _E, "a site that works on a task without a result or a metric", "waits"),
    Rule(
        "site_error",
        _W,
        "a script that raised at a site; the workflow goes on without it",
        "completed",
    ),
    Rule("process_ended", _E, "the process of a site that ended, or will not answer its task", "waits"),
    Rule("unanswered", _E, "a site that receives a task again and again and never answers", "waits"),
    Rule("evaluation", _E, "a client that fails in cross-site evaluation", "empty results"),
    Rule("configuration", _E, "settings of a job that NVFlare ignores or replaces", "completed"),
    Rule("tracking", _E, "a tracker that does not start or cannot store values", "completed"),
    Rule("nothing_logged", _E, "tracking is configured, and no site logs", "completed"),
    Rule("tracking_lost_values", _W, "values that a tracker lost", "completed"),
)
ALWAYS_ERROR = "large_integer"
RULE_NAMES = tuple(rule.name for rule in RULES)


class Levels:
    """The level of each rule in one job.

    Args:
        overrides: levels by the names of rules; a later mapping overrides an earlier one.

    Raises:
        ValueError: a name or a level is unknown.
    """

    def __init__(self, *overrides: Mapping[str, str]) -> None:
        self._levels = {rule.name: rule.level for rule in RULES}
        for override in overrides:
            self._levels |= parse_levels(override)

    def of(self, rule: str) -> Level:
        """Return the level of a rule; a finding without a rule is an error."""
        return self._levels.get(rule, Level.ERROR)


def parse_levels(written: Mapping[str, Any]) -> dict[str, Level]:
    """Return the levels in `guard: {RULE: LEVEL}`.

    Raises:
        ValueError: a name or a level is unknown.
    """
    found = {}
    for name, level in written.items():
        if name not in RULE_NAMES:
            raise ValueError(f"the guard has no rule {name!r}; it has {', '.join(RULE_NAMES)}")
        if name == ALWAYS_ERROR:
            raise ValueError(f"{name} is always an error: NVFlare cannot send the message")
        try:
            found[name] = Level.OFF if level is False else Level(level)  # YAML reads `off` as false
        except ValueError:
            raise ValueError(f"the level of {name} must be error, warn or off, not {level!r}") from None
    return found


def levels_of_environment() -> dict[str, str]:
    """Return the levels of `deployment.guard`, which the parent passes on: RULE=LEVEL,RULE=LEVEL."""
    written = os.environ.get(ENV_GUARD_RULES, "")
    return dict(entry.split("=", 1) for entry in written.split(",") if "=" in entry)


def levels_in_meta(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the levels in a job's meta.json."""
    props = meta.get(CUSTOM_PROPS)
    levels = props.get(META_KEY) if isinstance(props, Mapping) else None
    return levels if isinstance(levels, Mapping) else {}

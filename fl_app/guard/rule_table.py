"""The rules of the guard, and the level of each: what ends a job, and what is only reported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from nvflare.apis.job_def import JobMetaKey

from fl_app.contract import ENV_GUARD_RULES

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
    Rule("unchanged-round", _W, "no site changes a parameter in one round", "completed"),
    Rule("shape", _E, "another shape, unknown names or missing parameters in a result", "completed"),
    Rule("type", _E, "integers in a result for floating-point parameters", "completed, truncated"),
    Rule("not-finite", _E, "NaN or infinite numbers in a result that the site did not receive", "completed"),
    Rule(
        "global-model", _E, "a new global model that is not finite, or has other names or shapes", "completed"
    ),
    Rule("exploding", _W, "parameters that grow by more than a factor of 1,000 in one round", "completed"),
    Rule("large-result", _E, "a result much larger than the model", "completed"),
    Rule("large-integer", _E, "an integer that NVFlare's messages cannot carry", "waits, names no cause"),
    Rule("unused-result", _E, "a callback, aggregator or filter that raises for a result", "completed"),
    Rule("rejected-result", _W, "a custom aggregator that rejects a result", "completed"),
    Rule("weight", _E, "a number of steps that is not positive, or that only some sites return", "completed"),
    Rule("equal-weights", _W, "no site returns its number of steps: all sites weigh the same", "completed"),
    Rule("key-metric", _E, "a key metric that the job sets and a site does not return", "no best model"),
    Rule("default-key-metric", _W, "a key metric of NVFlare's default that no site returns", "no best model"),
    Rule("metric", _W, "a metric that is text, not finite, or returned by some of the sites", "ignored"),
    Rule(
        "metric-direction", _W, "a key metric whose direction contradicts its name or is unknown", "completed"
    ),
    Rule("metric-worsens", _W, "a key metric that is worse after the last round than before", "completed"),
    Rule("stop-condition", _E, "a stop condition that can never be met", "no model, completed"),
    Rule("not-persisted", _E, "no model was stored, or it cannot be read, or it is another one", "completed"),
    Rule("missing-site", _W, "a site that took no part in a round", "completed"),
    Rule("lost-site", _E, "no heartbeat of a site that the job waits for", "waits"),
    Rule("stalled-site", _E, "a site that works on a task without a result or a metric", "waits"),
    Rule(
        "site-error",
        _E,
        "the script of a site raised, or ended before it answered its task",
        "no cause shown",
    ),
    Rule("process-ended", _E, "the process of a site ended in the middle of a task", "waits"),
    Rule("evaluation", _E, "a client that fails in cross-site evaluation", "empty results"),
    Rule("configuration", _E, "settings of a job that NVFlare ignores or replaces", "completed"),
    Rule("tracking", _E, "a tracker that does not start or cannot store values", "completed"),
    Rule("nothing-logged", _E, "tracking is configured, and no site logs", "completed"),
    Rule("tracking-lost-values", _W, "values that a tracker lost", "completed"),
)
_NAMES = frozenset(rule.name for rule in RULES)


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
        if name not in _NAMES:
            raise ValueError(f"the guard has no rule {name!r}; it has {', '.join(sorted(_NAMES))}")
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
    props = meta.get(JobMetaKey.CUSTOM_PROPS.value)
    levels = props.get(META_KEY) if isinstance(props, Mapping) else None
    return levels if isinstance(levels, Mapping) else {}

"""How long a site may give no sign of life, and what follows: the one table of these limits, in seconds.

| limit | consequence |
|---|---|
| LATE_SECONDS | telemetry, `watch` and the scheduler call it late; a round with a quorum leaves it out |
| LOGGED_OUT_SECONDS | the server forgets its registration: its next process is accepted at once |
| site_wait() | the guard ends a job that cannot go on without the site |

A sign of life is a heartbeat of the site's parent, or a message of its job process. This module imports
nothing heavy: job processes import it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from fl_app.contract import ENV_SITE_WAIT, ENV_SURVIVAL, SITE_WAIT_SECONDS, is_enabled

HEARTBEAT_SECONDS = 10.0
"""Interval of the heartbeats of NVFlare's parents, and of the guard in a site's job process."""
LATE_SECONDS = 3 * HEARTBEAT_SECONDS + 5.0
"""Three heartbeats, and a margin."""
LOGGED_OUT_SECONDS = LATE_SECONDS
"""NVFlare: 600 s."""
WAIT_WITHOUT_SURVIVAL = 300.0
"""Limit if `deployment.survival.enabled` is false; most network failures are shorter."""
SITE_WAIT_PROPERTY = "site_wait_seconds"
"""Key in a job's `custom_props`: the job's own limit."""
_CUSTOM_PROPS = "custom_props"


def survival_enabled() -> bool:
    """Return whether jobs survive killed processes, and sites that are away."""
    return is_enabled(ENV_SURVIVAL)


def site_wait(meta: Mapping[str, Any] | None = None) -> float:
    """Return for how long a running job waits for a site without a sign of life, at least LATE_SECONDS.

    Args:
        meta: the job's meta.json, whose own limit counts first.
    """
    if not survival_enabled():
        return WAIT_WITHOUT_SURVIVAL
    props = (meta or {}).get(_CUSTOM_PROPS)
    own = props.get(SITE_WAIT_PROPERTY) if isinstance(props, Mapping) else None
    if isinstance(own, int | float) and not isinstance(own, bool) and 0 <= own < math.inf:
        return max(float(own), LATE_SECONDS)
    return max(seconds_of_environment(ENV_SITE_WAIT, SITE_WAIT_SECONDS), LATE_SECONDS)


def seconds_of_environment(variable: str, default: float) -> float:
    """Return the default for an invalid value: a parent rejects it when it starts."""
    try:
        seconds = float(os.environ.get(variable) or default)
    except ValueError:
        return default
    return seconds if 0 <= seconds < math.inf else default


def duration(seconds: float) -> str:
    """Return a duration with its two largest units: `45 s`, `2 min`, `2 min 5 s`, `1 h 1 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    units = [(hours, "h"), (minutes, "min"), (rest, "s")][0 if hours else 1 :][:2]
    return " ".join(f"{number} {unit}" for number, unit in units if number) or "0 s"

"""How far a job is: what the server's job process tells an administrator's session, and what that session
reads."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel, Field

STATS_GROUP = "flarefleet.progress"
"""Under which NVFlare's `show_stats` carries it."""
WAITING_GROUP = "flarefleet.waiting"
"""Under which it carries why sites wait for their job pods: a reason by site."""
SERVER_WAITS_FOR = "flarefleet.server_waits_for"
"""Under which a job's meta says why its pod on the server does not run yet."""


class SitePhase(str, Enum):
    """What a site does now, as the server sees it."""

    WAITING = "waiting"
    """It has no work; often the others are not done yet."""
    TRAINING = "training"
    """It has the model and has not answered yet."""
    FAILED = "failed"
    """Its last answer was an error."""


class SiteProgress(BaseModel, frozen=True):
    """One site of a running job."""

    phase: SitePhase = SitePhase.WAITING
    rounds_done: int = 0
    metrics: dict[str, float] = Field(default_factory=dict)
    """The last value of each scalar that it logged."""
    error: str = ""
    """NVFlare's return code of its last answer, where that was an error; its own log says more."""
    waits_for: str = ""
    """Why its job pod does not run yet, in Kubernetes' words."""


class JobProgress(BaseModel, frozen=True):
    """A running job."""

    round: int | None = None
    """From 1; None before the first."""
    rounds: int | None = None
    """How many there will be; None if the workflow does not say."""
    sites: dict[str, SiteProgress] = Field(default_factory=dict)
    fatal: str = ""
    """Why the job is about to end in failure."""

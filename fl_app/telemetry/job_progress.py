"""Progress of a running job: the server's job process reports it, and an admin session reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer, ValidationError

STATS_GROUP = "flarefleet.progress"
"""Group of NVFlare's `show_stats` that holds the progress."""
PENDING_GROUP = "flarefleet.waiting"
"""Group of NVFlare's `show_stats` that holds, for each site, why its job pod is not running yet."""
SERVER_PENDING_REASON = "flarefleet.server_waits_for"
"""Key of a job's meta that holds why the server's job pod is not running yet."""

PROGRESS_FILE = "progress.json"
"""File in a job's results: its progress at the end."""
PROGRESS_META = "flarefleet.final_progress"
"""Key of a finished job's meta: the same, without metrics if they are too many."""
MAX_META_BYTES = 64 << 10

SITE_ERROR_EVENT = "flarefleet.site_error"
"""NVFlare event in the server's job process; its data is the name of a site and its error in one line."""

WAITING_EVENT = "flarefleet.waiting_for_sites"
"""NVFlare event in the server's job process; its data is the sites that are away now, each with the reason:
`{"south": "no sign of life for 2 min"}`."""


Metric = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    # One object for every NaN, so that two answers with the same metrics are equal.
    AfterValidator(lambda value: math.nan if math.isnan(value) else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, when_used="json"),
]
"""A value that a job logged. In JSON, NaN and infinity are null, which is read as NaN."""


class SitePhase(str, Enum):
    """Phase of a site, as the server sees it."""

    WAITING = "waiting"
    """The site has no task; often other sites are still training."""
    TRAINING = "training"
    """The site has received the model and has not returned a result."""
    FAILED = "failed"
    """The site's last result was an error."""


class SiteProgress(BaseModel):
    """Progress of one site of a running job."""

    phase: SitePhase = SitePhase.WAITING
    rounds_done: int = 0
    """Rounds of the workflow that the site has answered; tasks outside of a round do not count."""
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """Last value of each scalar that the site logged, for a limited number of tags."""
    error: str = ""
    """Error of the site in one line, or NVFlare's return code of its last result."""
    waits_for: str = ""
    """Why the site's job pod is not running yet, as reported by Kubernetes."""
    away: str = ""
    """Why the server believes that the site is away: `no sign of life for 2 min`."""


class BestModel(BaseModel):
    """The model that NVFlare keeps as the best one, by the metrics that the sites returned for it."""

    round: int
    """Round after which the server had this model, from 1."""
    metric: str
    value: Metric
    """Mean of the metric over the sites."""


class JobProgress(BaseModel):
    """Progress of a running job."""

    round: int | None = None
    """Current round, starting at 1; None before the first."""
    rounds: int | None = None
    """Total number of rounds; None if the workflow does not announce it."""
    sites: dict[str, SiteProgress] = Field(default_factory=dict)
    metrics: dict[str, Metric] = Field(default_factory=dict)
    """Last value of each scalar that the server itself logged."""
    best: BestModel | None = None
    fatal: str = ""
    """Error that fails the job."""
    warnings: tuple[str, ...] = ()
    """First warnings of the guard."""


def final_progress(folders: Iterable[str | Path]) -> Any:
    """Return the progress in the first of the folders that has a file of it, for a job's meta; else None."""
    for folder in folders:
        try:
            progress = JobProgress.model_validate_json(Path(folder, PROGRESS_FILE).read_bytes())
        except (OSError, ValidationError):
            continue
        if len(progress.model_dump_json()) > MAX_META_BYTES:
            progress = progress.model_copy(update={"sites": {}})
        return progress.model_dump(mode="json")
    return None


def read_progress(document: Any) -> JobProgress | None:
    """Return the progress in a job's meta; None if there is none, or if another release wrote it."""
    try:
        return None if document is None else JobProgress.model_validate(document)
    except ValidationError:
        return None

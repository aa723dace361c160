"""A job as the server's meta describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from fl_app.contract import PARAMETERS_PROPERTY
from fl_app.guard.warnings import WARNINGS_META
from fl_app.survival.interventions import ABORTED_BY_META, HISTORY_META, Intervention
from fl_app.telemetry.job_progress import (
    PROGRESS_META,
    SERVER_PENDING_REASON,
    JobProgress,
    read_progress,
)

COMPLETED = "FINISHED:COMPLETED"
RUNNING = "RUNNING"
SUBMITTED = "SUBMITTED"
NEVER_STARTED = "FINISHED:CAN_NOT_SCHEDULE"
FAILED_TO_RUN = "FINISHED:FAILED_TO_RUN"
SERVER = "server"
"""NVFlare's name of the server, in requests and in a job's deploy_map."""
_ALL_SITES = "@ALL"
_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
"""NVFlare's text of a duration, as Python's timedelta has it."""


@dataclass(frozen=True)
class Job:
    """A job on the server."""

    id: str
    name: str
    status: str
    """SUBMITTED, DISPATCHED, RUNNING, or FINISHED:RESULT."""
    submitter: str
    submitted: datetime
    duration: str
    """H:MM:SS.ffffff since the start; empty before."""
    waits_for: str
    """The server's reason for not having started the job; empty if there is none."""
    server_waits_for: str
    """Kubernetes' reason why the job's pod on the server is not running yet; empty if there is none."""
    warnings: tuple[str, ...] = ()
    """Warnings of the guard, of a job that has ended."""
    aborted_by: str = ""
    """The administrator who aborted the job; empty if none did."""
    history: tuple[Intervention, ...] = ()
    """What survival did for the job, oldest first."""
    deployed_to: tuple[str, ...] = ()
    """The sites of the job; empty if it goes to all registered sites."""
    progress: JobProgress | None = None
    """Rounds and metrics at the end, of a job that has ended."""

    deploy_errors: Mapping[str, str] = field(default_factory=dict)
    """Site that did not accept the job -> its reason, such as `BYOC not permitted`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """All parameters with which the job was submitted; empty if it is no job of this kit."""

    @property
    def duration_seconds(self) -> float | None:
        """Return the time since the start in seconds; None before."""
        match = _DURATION.fullmatch(self.duration)
        if match is None:
            return None
        days, hours, minutes = (int(part or 0) for part in match.groups()[:3])
        return float(((days * 24 + hours) * 60 + minutes) * 60 + float(match[4]))

    @property
    def is_finished(self) -> bool:
        """Return whether the job has ended, with any result."""
        return self.status.startswith("FINISHED")

    def document(self) -> dict[str, Any]:
        """Return the job as a JSON document."""
        progress = self.progress.model_dump(mode="json") if self.progress else None
        document = {key: value for key, value in asdict(self).items() if key != "duration"}
        return {
            **document,
            "submitted": self.submitted.isoformat(),
            "duration_seconds": self.duration_seconds,
            "progress": progress,
        }

    @classmethod
    def of(cls, meta: dict[str, Any]) -> Job:
        """Return the job that NVFlare's job meta describes."""
        attempts = [line for line in meta.get("schedule_history") or () if not line.endswith(": scheduled")]
        status = str(meta["status"])
        return cls(
            id=str(meta["job_id"]),
            name=str(meta["name"]),
            status=status,
            submitter=str(meta.get("submitter_name", "")),
            submitted=datetime.fromtimestamp(float(meta.get("submit_time") or 0), timezone.utc),
            duration="" if meta.get("duration") in (None, "N/A") else str(meta["duration"]),
            waits_for=attempts[-1] if attempts and status in (SUBMITTED, NEVER_STARTED) else "",
            warnings=tuple(str(line) for line in meta.get(WARNINGS_META) or ()),
            server_waits_for=str(meta.get(SERVER_PENDING_REASON, "")),
            aborted_by=str(meta.get(ABORTED_BY_META, "")),
            history=tuple(_interventions(meta.get(HISTORY_META))),
            deployed_to=_deployed_to(meta.get("deploy_map")),
            progress=read_progress(meta.get(PROGRESS_META)),
            deploy_errors=dict(_deploy_errors(meta.get("job_deploy_detail"))),
            parameters=_parameters(meta.get("custom_props")),
        )


def _deployed_to(deploy_map: Any) -> tuple[str, ...]:
    from fl_app.nvflare_internals.guard import participants

    entries = deploy_map.values() if isinstance(deploy_map, dict) else ()
    try:
        names = {name for entry in entries for name in participants(entry)}
    except ValueError:  # a form that this release does not know
        return ()
    return () if _ALL_SITES in names else tuple(sorted(names - {SERVER}))


def _deploy_errors(answers: Any) -> Iterator[tuple[str, str]]:
    for answer in answers if isinstance(answers, list) else ():
        site, _, text = str(answer).partition(": ")
        if text not in ("", "OK"):
            yield site, text.removeprefix("NVFLARE_ERROR: ")


def _parameters(properties: Any) -> dict[str, Any]:
    found = properties.get(PARAMETERS_PROPERTY) if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else {}


def _interventions(documents: Any) -> Iterator[Intervention]:
    for document in documents if isinstance(documents, list) else ():
        try:
            yield Intervention.of(document)
        except (ValueError, AttributeError):  # of another release
            continue

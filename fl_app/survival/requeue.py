"""Which jobs are put back to SUBMITTED, under their own id, and how often."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import RunProcessKey
from nvflare.apis.job_def import JobMetaKey, RunStatus
from nvflare.fuel.common.exit_codes import ProcessExitCode

from fl_app.nvflare_internals.server_jobs import REPORTED_BY_SITE
from fl_app.survival.checkpoints import documents_of

REQUEUES_META = "flarefleet_requeues"
"""Key of a job's meta: how often the job was put back, see `Requeues`."""
MAX_REQUEUES = 20
MAX_WITHOUT_PROGRESS = 2
"""Requeues in a row without a further round: an error that repeats ends the job."""
Progress = tuple[int, int]
"""Position of the running workflow among those of the job, and its finished rounds."""
NO_PROGRESS: Progress = (0, 0)
_AWAY = ("no reply", "invalid_clients", "num_ok_sites", "failed to deploy to required client")
"""Entries of a job_deploy_detail that say that a site did not answer, and their consequence."""


@dataclass(frozen=True)
class Requeues:
    """How often a job was put back to SUBMITTED."""

    count: int = 0
    without_progress: int = 0
    """Number of the last ones between which the job finished no round."""
    progress: Progress = NO_PROGRESS
    """The best progress of the runs so far."""

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> Requeues:
        """Return those of a job."""
        try:
            found = cls(**meta.get(REQUEUES_META, {}))
            workflow, rounds = found.progress
            return replace(found, progress=(workflow, rounds))
        except (TypeError, ValueError):
            return cls()

    def next(self, progress: Progress) -> Requeues | None:
        """Return them after another one; None if the job must end.

        Args:
            progress: how far the last run came.
        """
        without = 0 if progress > self.progress else self.without_progress + 1
        if self.count >= MAX_REQUEUES or without > MAX_WITHOUT_PROGRESS:
            return None
        return Requeues(self.count + 1, without, max(progress, self.progress))

    def meta(self) -> dict[str, Any]:
        """Return the changes of the job's meta that let NVFlare schedule it again.

        The last schedule time lets NVFlare wait for its shortest interval: sites end the old processes.
        """
        return {
            REQUEUES_META: asdict(self),
            JobMetaKey.STATUS.value: RunStatus.SUBMITTED.value,
            JobMetaKey.SCHEDULE_COUNT.value: 0,
            JobMetaKey.LAST_SCHEDULE_TIME.value: time.time(),
            JobMetaKey.SCHEDULE_HISTORY.value: [],
        }


def reason_to_requeue(
    status: RunStatus, process: Mapping[str, Any] | None, deployment: Sequence[str]
) -> str | None:
    """Return why a job that ends with this status is to run again; None if it failed by its own fault.

    Args:
        status: status with which NVFlare ends the job.
        process: NVFlare's record of the server's process of the job, if it did not exit cleanly.
        deployment: job_deploy_detail of a job that did not start.
    """
    if status == RunStatus.FAILED_TO_RUN:
        return _reason_of_failed_start(deployment)
    if status not in (RunStatus.FINISHED_ABNORMAL, RunStatus.FINISHED_EXECUTION_EXCEPTION):
        return None
    process = process or {}
    code = process.get(RunProcessKey.PROCESS_RETURN_CODE)
    if process.get(RunProcessKey.PROCESS_EXE_ERROR) or process.get(REPORTED_BY_SITE):
        return None  # a controller, the guard or a site ended the job
    if code == ProcessExitCode.INFRASTRUCTURE_ERROR:
        return "the server's job pod could not run"
    if isinstance(code, int) and code < 0:
        return f"the server's job process was killed by signal {-code}"
    return None


def _reason_of_failed_start(deployment: Sequence[str]) -> str | None:
    failures = [entry for entry in deployment if not entry.endswith(": OK")]
    if any(not any(text in entry for text in _AWAY) for entry in failures):
        return None
    return "; ".join(failures)[:200] or "its start failed (see the server's log)"


def minutes_of_run(meta: Mapping[str, Any]) -> Progress:
    """Return how long the last run of a job lasted: the progress of a job that has no checkpoints.

    A job that fails in the same minute each time makes none.
    """
    started = meta.get(JobMetaKey.LAST_SCHEDULE_TIME.value)
    return (0, int((time.time() - started) // 60)) if isinstance(started, float) else NO_PROGRESS


def progress_of(workspace: Path, job_id: str) -> Progress:
    """Return how far the checkpoints of a job are; (0, 0) without any."""
    found = [NO_PROGRESS]
    for parts in documents_of(workspace, job_id):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            found.append((int(parts["job"]["workflow"]), int(parts["job"]["rounds_done"])))
    return max(found)

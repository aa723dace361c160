"""A job's pod from its creation to its removal, as NVFlare's handle of a job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode

from fl_app.launchers.cluster import Cluster, RefusedError
from fl_app.launchers.manifest import JobPodPlan
from fl_app.launchers.pod_failure import Patience, Sighting, Stage, is_being_made, see
from fl_app.telemetry.pods import JobPodStatus

LOOK_AGAIN = 3
"""Seconds after which a pod that does not change is looked at again while it starts."""
LOOK_AGAIN_RUNNING = 30
EARLIEST_FAILURE = 5.0
"""Seconds after its launch at which a site may first report that a job failed: NVFlare's server trips over a
report that arrives while it still starts the job elsewhere, and loses the reason."""
_OF_NVFLARE = (
    JobReturnCode.EXECUTION_ERROR,
    JobReturnCode.ABORTED,
    JobReturnCode.EXCEPTION,
    JobReturnCode.UNSAFE_COMPONENT,
    JobReturnCode.CONFIG_ERROR,
)
"""Exit codes of NVFlare's own job process, which say more than that it failed."""

_PHASES = {
    Stage.WAITING: "Pending",
    Stage.STARTING: "Pending",
    Stage.RUNNING: "Running",
    Stage.SUCCEEDED: "Succeeded",
    Stage.FAILED: "Failed",
}
"""Kubernetes' words."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reports:
    """Whom a job pod tells what."""

    waiting: Callable[[str], None]
    """Why it does not run yet; empty once it does. Told again and again while it waits."""
    failure: Callable[[str], None]
    """Why it failed, once."""
    last_words: Callable[[str], None]
    """The last that a job printed which ended with an error of its own; its log may say more."""
    ended: Callable[[], None]
    """It has ended, however."""


class JobPod(JobHandleSpec):
    """The pod of one job.

    Args:
        cluster: where.
        plan: what it is made of.
        pod: its manifest.
        secret: its Secret's.
        patience: how long it may go on not starting.
        keep: seconds for which it stays once it has finished.
        reports: whom to tell.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        plan: JobPodPlan,
        pod: dict[str, Any],
        secret: dict[str, Any],
        patience: Patience,
        keep: float,
        reports: Reports,
    ) -> None:
        super().__init__()
        self.name = plan.name
        self.job_id = plan.job_id
        self.waits_for = ""
        """Why it does not run yet."""
        self._cluster = cluster
        self._pod, self._secret = pod, secret
        self._job_name = plan.job_name
        self._patience = patience
        self._keep = keep
        self._reports = reports
        self._launched = time.monotonic()
        self._pending_since: float | None = time.time()
        self._stage = Stage.STARTING
        self._code: int | None = None
        self._ending = threading.Lock()

    @property
    def shown(self) -> JobPodStatus:
        """How it is now, for telemetry."""
        return JobPodStatus(self._job_name, _PHASES[self._stage], self._pending_since)

    def start(self) -> None:
        """Create the pod; if Kubernetes will not have it, the job has failed."""
        with _lock:
            _pods[self.name] = self
        try:
            self._cluster.create_secret(self._secret)
            self._cluster.create_pod(self._pod, self.name)
        except RefusedError as error:
            self._fail(f"Kubernetes refuses its pod: {error}")
        except Exception as error:
            _log.exception("the pod of job %s", self.job_id)
            self._fail(f"its pod cannot be created: {error}")

    def poll(self) -> int:
        """Its exit code; UNKNOWN while it has none."""
        return JobReturnCode.UNKNOWN if self._code is None else self._code

    def wait(self) -> None:
        """Return when it has ended."""
        while self._code is None:
            seconds = LOOK_AGAIN_RUNNING if self._stage is Stage.RUNNING else LOOK_AGAIN
            try:
                for pod in self._cluster.follow(self.name, seconds):
                    self._consider(pod)
                    if self._code is not None or (self._stage is Stage.RUNNING and seconds == LOOK_AGAIN):
                        break
            except Exception:
                _log.exception("following the pod of job %s", self.job_id)
                self._cluster.pause()
        if self._code not in (JobReturnCode.SUCCESS, JobReturnCode.ABORTED):
            threading.Event().wait(max(0.0, self._launched + EARLIEST_FAILURE - time.monotonic()))

    def terminate(self) -> None:
        """End it now."""
        self._end(JobReturnCode.ABORTED, keep=0.0)

    def _consider(self, pod: Any | None) -> None:
        if self._code is not None:
            return
        if pod is None:
            self._fail("its pod is gone: somebody or a drained node removed it")
            return
        sighting = see(pod, self._cluster.events(self.name) if is_being_made(pod) else ())
        self._note(sighting)
        if sighting.stage is Stage.SUCCEEDED:
            self._end(JobReturnCode.SUCCESS, self._keep)
        elif sighting.stage is Stage.FAILED:
            self._failed(sighting)
        elif (given_up := self._patience.ends(sighting, time.monotonic())) is not None:
            self._fail(given_up)

    def _note(self, sighting: Sighting) -> None:
        self._stage = sighting.stage
        if sighting.stage not in (Stage.WAITING, Stage.STARTING):
            self._pending_since = None
        told, self.waits_for = self.waits_for, sighting.reason if self._pending_since else ""
        if self.waits_for or told:
            self._reports.waiting(self.waits_for)

    def _failed(self, sighting: Sighting) -> None:
        code = sighting.exit_code
        if code is not None and code in _OF_NVFLARE:
            self._reports.last_words(sighting.reason)
            self._end(code, self._keep)
            return
        how = "" if code is None else f" with exit code {code}"
        self._fail(f"its pod failed{how}: {sighting.reason}", self._keep)

    def _fail(self, reason: str, keep: float = 0.0) -> None:
        with self._ending:
            if self._code is not None:
                return
        self._stage = Stage.FAILED
        _log.error("job %s: %s", self.job_id, reason)
        self._reports.failure(reason)
        self._end(JobReturnCode.INFRASTRUCTURE_ERROR, keep)

    def _end(self, code: int, keep: float) -> None:
        with self._ending:
            if self._code is not None:
                return
            self._code = code
        with _lock:
            _pods.pop(self.name, None)
        try:
            self._reports.ended()
            self._cluster.delete_secret(self.name)
            self._remove(keep)
        except Exception:
            _log.exception("the pod %s may stay until this release goes", self.name)

    def _remove(self, keep: float) -> None:
        if keep <= 0:
            self._cluster.delete_pod(self.name)
            return
        later = threading.Timer(keep, self._cluster.delete_pod, [self.name])
        later.daemon = True
        later.start()


_pods: dict[str, JobPod] = {}
_lock = threading.Lock()


def job_pods() -> tuple[JobPodStatus, ...]:
    """The job pods of this parent that have not ended, for its telemetry."""
    with _lock:
        pods = tuple(_pods.values())
    return tuple(pod.shown for pod in pods)


def waits_for(job_id: str) -> str:
    """Why this parent's pod of a job does not run yet; empty: it does, or there is none."""
    with _lock:
        pods = tuple(_pods.values())
    return next((pod.waits_for for pod in pods if pod.job_id == job_id), "")

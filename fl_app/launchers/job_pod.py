"""The pod of a job from its creation to its deletion, as NVFlare's job handle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode

from fl_app.guard.error_capture import exit_text
from fl_app.launchers.manifest import JobPodPlan
from fl_app.launchers.memory_limit import out_of_memory
from fl_app.launchers.namespace import JobNamespace, RejectedError
from fl_app.launchers.pod_failure import CONTAINER, PodState, Stage, StartTimeouts, is_creating, pod_state
from fl_app.launchers.restarts import Death, Restarts
from fl_app.telemetry.pods import JobPodStatus

POLL_SECONDS = 3
"""How often a starting pod is read even if it does not change."""
POLL_SECONDS_RUNNING = 30
EARLIEST_FAILURE_SECONDS = 5.0
"""Age at which a job may fail first: NVFlare's server loses the reason of a failure that a site reports while
the server still deploys the job to other sites."""
_CHOSEN_CODES = (
    JobReturnCode.ABORTED,
    JobReturnCode.EXCEPTION,
    JobReturnCode.UNSAFE_COMPONENT,
    JobReturnCode.CONFIG_ERROR,
)
"""Exit codes of NVFlare's job process after its main function has returned or raised."""
_NVFLARE_CODES = (JobReturnCode.EXECUTION_ERROR, *_CHOSEN_CODES)
"""Exit codes of NVFlare's job process; they tell more than INFRASTRUCTURE_ERROR."""

_EXCEEDED = "exceed"
"""In the reason of an eviction: the pod itself used more than its limit, as it will again."""

_PHASES = {
    Stage.PENDING: "Pending",
    Stage.STARTING: "Pending",
    Stage.RUNNING: "Running",
    Stage.SUCCEEDED: "Succeeded",
    Stage.FAILED: "Failed",
}
"""Kubernetes' phase for each stage."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Callbacks:
    """Functions that a job pod calls."""

    pending: Callable[[str], None]
    """Receives why the pod does not run yet, repeatedly, and an empty string when it runs."""
    failed: Callable[[str], None]
    """Receives why the pod failed, once."""
    error_output: Callable[[str], None]
    """Receives the last output of a job process that exited with an error code of NVFlare."""
    finished: Callable[[], None]
    """Receives the end of the job, once: it finished, failed or was aborted."""


class JobPod(JobHandleSpec):
    """The pod of one job. NVFlare does not see that a pod that was killed is created again.

    Args:
        namespace: namespace of the pod.
        plan: the plan that the manifests were made from.
        pod: manifest of the pod.
        secret: returns the manifest of its Secret, with a new token for each pod: one that was killed may
            still deliver its results.
        timeouts: timeouts of its start.
        keep: seconds for which a finished pod stays.
        restarts: restarts of this job.
        callbacks: functions to call.
        is_server: whether an exit with an error code that the job did not choose is a death. NVFlare calls
            `os._exit(1)` on the server if it cannot receive a result; at a site, a training script may exit.
    """

    def __init__(
        self,
        namespace: JobNamespace,
        *,
        plan: JobPodPlan,
        pod: dict[str, Any],
        secret: Callable[[], dict[str, Any]],
        timeouts: StartTimeouts,
        keep: float,
        restarts: Restarts,
        callbacks: Callbacks,
        is_server: bool = False,
    ) -> None:
        super().__init__()
        self.name = plan.name
        self.job_id = plan.job_id
        self.pending_reason = ""
        """Why the pod does not run yet."""
        self._namespace = namespace
        self._pod, self._secret = pod, secret
        self._job_name = plan.job_name
        self._timeouts = timeouts
        self._keep = keep
        self._memory = memory_limit(pod)
        self._site = plan.site
        self._restarts = restarts
        self._uid = ""
        self._objects_lock = threading.Lock()
        self._callbacks = callbacks
        self._is_server = is_server
        self._created = time.monotonic()
        self._pending_since: float | None = time.time()
        self._stage = Stage.STARTING
        self._code: int | None = None
        self._code_lock = threading.Lock()

    @property
    def status(self) -> JobPodStatus:
        """Status for telemetry."""
        return JobPodStatus(self._job_name, _PHASES[self._stage], self._pending_since)

    def start(self) -> None:
        """Create the pod. If Kubernetes rejects it, the job fails."""
        with _lock:
            _pods[self.name] = self
        if failure := self._create():
            self._fail(failure)

    def _create(self) -> str:
        """Create the Secret and the pod; return why that failed."""
        try:
            self._namespace.create_secret(self._secret())
            self._uid = self._namespace.create_pod(self._pod, self.name)
        except RejectedError as error:
            return f"Kubernetes rejected its pod: {error}"
        except Exception as error:
            _log.exception("creating the pod of job %s", self.job_id)
            return f"its pod cannot be created: {error}"
        return ""

    def poll(self) -> int:
        """Return the job's return code, or UNKNOWN while it runs."""
        return JobReturnCode.UNKNOWN if self._code is None else self._code

    def wait(self) -> None:
        """Wait until the job has finished."""
        while self._code is None:
            starting, uid = self._stage is not Stage.RUNNING, self._uid
            try:
                for pod in self._namespace.watch_pod(
                    self.name, uid, POLL_SECONDS if starting else POLL_SECONDS_RUNNING
                ):
                    self._observe(pod)
                    is_new = self._uid != uid or (starting and self._stage is Stage.RUNNING)
                    if self._code is not None or is_new:
                        break
            except Exception:  # NVFlare must not take a failed request to Kubernetes for the end of the job
                _log.exception("watching the pod of job %s", self.job_id)
                self._namespace.pause()
        if self._code not in (JobReturnCode.SUCCESS, JobReturnCode.ABORTED):
            time.sleep(max(0.0, self._created + EARLIEST_FAILURE_SECONDS - time.monotonic()))

    def terminate(self) -> None:
        """Abort the job and delete the pod; it is not created again."""
        self._restarts.stopped.set()
        self._finish(JobReturnCode.ABORTED, keep=0.0)

    def _observe(self, pod: Any | None) -> None:
        if self._code is not None:
            return
        if pod is None:
            self._killed(Death("its pod was deleted, by a user or because its node was drained"))
            return
        state = pod_state(pod, self._namespace.pod_events(self.name) if is_creating(pod) else ())
        self._record(state)
        if state.stage is Stage.SUCCEEDED:
            self._finish(JobReturnCode.SUCCESS, self._keep)
        elif state.stage is Stage.FAILED:
            self._pod_failed(state)
        elif (reason := self._timeouts.expired(state, time.monotonic())) is not None:
            self._fail(reason)

    def _record(self, state: PodState) -> None:
        self._stage = state.stage
        if state.stage not in (Stage.PENDING, Stage.STARTING):
            self._pending_since = None
        previous, self.pending_reason = self.pending_reason, state.reason if self._pending_since else ""
        if self.pending_reason and self.pending_reason != previous:
            _log.info("the pod of job %s is pending: %s", self.job_id, self.pending_reason)
        if self.pending_reason or previous:
            self._callbacks.pending(self.pending_reason)

    def _pod_failed(self, state: PodState) -> None:
        code = state.exit_code
        if self._is_server and code is not None and code not in _CHOSEN_CODES and not state.is_killed:
            self._killed(Death(f"its job process {exit_text(code)}", is_deterministic=True))
            return
        if code is not None and code in _NVFLARE_CODES:
            self._callbacks.error_output(state.reason)
            self._finish(code, self._keep)
            return
        if state.is_killed:
            self._killed(self._death(state))
            return
        suffix = "" if code is None else f" with exit code {code}"
        self._fail(f"its pod failed{suffix}: {state.reason}", self._keep)

    def _death(self, state: PodState) -> Death:
        if state.is_out_of_memory:
            text = out_of_memory(self._memory, self._site, in_pod=True)
            return Death(f"its job process {text}", is_deterministic=True)
        return Death(state.reason, is_deterministic=_EXCEEDED in state.reason)

    def _killed(self, death: Death) -> None:
        """Create the pod again; if that is not allowed, the job fails."""
        while self._restarts.allow(death):
            with self._objects_lock:
                if self._code is not None:
                    return
                self._stage, self._pending_since = Stage.STARTING, time.time()
                if not (failure := self._create()):
                    return
            death = Death(failure)
        self._fail(self._restarts.final(death).text)

    def _fail(self, reason: str, keep: float = 0.0) -> None:
        with self._code_lock:
            if self._code is not None:
                return
        self._stage = Stage.FAILED
        _log.error("job %s: %s", self.job_id, reason)
        self._callbacks.failed(reason)
        self._finish(JobReturnCode.INFRASTRUCTURE_ERROR, keep)

    def _finish(self, code: int, keep: float) -> None:
        with self._code_lock:
            if self._code is not None:
                return
            self._code = code
        with _lock:
            _pods.pop(self.name, None)
        self._restarts.close()
        try:
            with self._objects_lock:  # not while the pod is created again, which makes a token
                self._callbacks.finished()
                self._namespace.delete_secret(self.name)
                self._delete_pod(keep)
        except Exception:  # the job has ended, whatever becomes of its objects
            _log.exception("the pod %s may stay until its release is deleted", self.name)

    def _delete_pod(self, keep: float) -> None:
        if keep <= 0:
            self._namespace.delete_pod(self.name)
            return
        timer = threading.Timer(keep, self._namespace.delete_pod, [self.name])
        timer.daemon = True
        timer.start()


def memory_limit(pod: dict[str, Any]) -> int | None:
    """Return the memory limit of the job's container in bytes; None if the manifest has none."""
    from kubernetes.utils.quantity import parse_quantity

    for container in pod.get("spec", {}).get("containers", ()):
        limit = container.get("resources", {}).get("limits", {}).get("memory")
        if container["name"] == CONTAINER and limit:
            return int(parse_quantity(limit))
    return None


_pods: dict[str, JobPod] = {}
_lock = threading.Lock()


def job_pods() -> tuple[JobPodStatus, ...]:
    """Return this parent's unfinished job pods for telemetry."""
    return tuple(pod.status for pod in _unfinished())


def pending_reason(job_id: str) -> str:
    """Return why this parent's pod of a job does not run yet; empty if it runs or does not exist."""
    return next((pod.pending_reason for pod in _unfinished() if pod.job_id == job_id), "")


def _unfinished() -> tuple[JobPod, ...]:
    with _lock:
        return tuple(_pods.values())

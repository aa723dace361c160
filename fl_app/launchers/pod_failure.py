"""State of a job pod, and timeouts after which a pod that does not start has failed.

The kubelet retries, so a single warning never ends a job. A job fails if its image or container cannot start
for a minute, or if its volume or network is unavailable for ten (Kubernetes needs six to move a volume to
another node).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from fl_app.guard.error_capture import exit_text

NODE_TIMEOUT_SECONDS = 600.0
"""Timeout of the kubelet for mounting volumes and setting up the pod's network."""
CONTAINER = "job"
"""Name of a job's container."""
_MAX_LENGTH = 500

_CREATING = (None, "ContainerCreating", "PodInitializing")
_PERMANENT = ("InvalidImageName",)
_OUT_OF_MEMORY = "OOMKilled"
_SIGNALLED = 128
"""A process that a signal ended has this exit code plus the number of the signal."""
_STOP_DELAY = timedelta(seconds=30)
"""Time after its grace period in which the kubelet must have stopped a pod that was deleted."""


class Stage(str, Enum):
    """The progress of a job pod."""

    PENDING = "pending"
    """No node has the free resources that the pod requests."""
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class StartProblem(str, Enum):
    """The kind of problem that keeps a pod from starting; each has its own timeout."""

    NONE = "none"
    NODE = "node"
    CONTAINER = "container"
    PERMANENT = "permanent"


@dataclass(frozen=True)
class PodState:
    """The state of a job pod at one moment."""

    stage: Stage
    reason: str = ""
    problem: StartProblem = StartProblem.NONE
    exit_code: int | None = None
    is_killed: bool = False
    """Whether something ended the pod from outside, or a signal its process."""
    is_out_of_memory: bool = False
    """Whether the kernel killed the process at the memory limit of the container."""


def is_creating(pod: Any) -> bool:
    """Return whether the pod has a node but does not run yet, so that its events are of interest."""
    return bool(_phase(pod) == "Pending" and pod.spec.node_name)


def pod_state(pod: Any, events: Sequence[Any] = ()) -> PodState:
    """Return the state of a pod.

    Args:
        pod: a V1Pod.
        events: the pod's CoreV1Events, needed only if `is_creating`.
    """
    if (terminated := _terminated(pod)) is not None:
        return terminated
    if _phase(pod) == "Running":
        return PodState(Stage.RUNNING)
    if not pod.spec.node_name:
        return PodState(Stage.PENDING, _scheduling_problem(pod))
    return _starting(pod, events)


def _phase(pod: Any) -> str:
    return str((pod.status and pod.status.phase) or "Pending")


def _scheduling_problem(pod: Any) -> str:
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            # Only the first sentence: the rest says why preemption does not help either.
            return _shortened((condition.message or condition.reason or "").partition(". ")[0])
    return ""


def _starting(pod: Any, events: Sequence[Any]) -> PodState:
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        waiting = status.state and status.state.waiting
        if waiting and waiting.reason not in _CREATING:
            problem = StartProblem.PERMANENT if waiting.reason in _PERMANENT else StartProblem.CONTAINER
            return PodState(Stage.STARTING, _shortened(f"{waiting.reason}: {waiting.message or ''}"), problem)
    last = max(events, key=_time, default=None)
    if last is not None and last.type == "Warning":
        reason = _shortened(f"{last.reason}: {last.message or ''}")
        return PodState(Stage.STARTING, reason, StartProblem.NODE)
    return PodState(Stage.STARTING)


def _time(event: Any) -> float:
    """Return when the kubelet last recorded the event, in seconds."""
    times = (
        event.series and event.series.last_observed_time,
        event.last_timestamp,
        event.event_time,
        event.metadata.creation_timestamp,
    )
    return next((time.timestamp() for time in times if time), 0.0)


def _terminated(pod: Any) -> PodState | None:
    """Return the final state of a pod whose job has finished, or None.

    The container's status comes a second before the pod's. If a service mesh added a sidecar, the pod's own
    phase never becomes final.
    """
    for status in (pod.status and pod.status.container_statuses) or ():
        terminated = status.state and status.state.terminated
        if terminated and status.name == CONTAINER:
            if not terminated.exit_code:
                return PodState(Stage.SUCCEEDED, exit_code=0)
            return _failed(pod, terminated)
    phase = _phase(pod)
    if phase == "Succeeded":
        return PodState(Stage.SUCCEEDED, exit_code=0)
    if phase == "Failed":
        reason = f"its pod failed: {_reason(pod) or 'Kubernetes gives no reason'}"
        return PodState(Stage.FAILED, _shortened(reason), is_killed=True)
    deleted = pod.metadata.deletion_timestamp
    if deleted is not None and datetime.now(timezone.utc) > deleted + _STOP_DELAY:
        return PodState(Stage.FAILED, "its pod was deleted, and its node does not answer", is_killed=True)
    return None


def _failed(pod: Any, terminated: Any) -> PodState:
    code = terminated.exit_code
    if terminated.reason == _OUT_OF_MEMORY:
        return PodState(Stage.FAILED, "out of memory", exit_code=code, is_killed=True, is_out_of_memory=True)
    if code > _SIGNALLED:
        what = f"its pod failed: {reason}" if (reason := _reason(pod)) else ""
        what = what or f"its job process {exit_text(_SIGNALLED - code)}"
        return PodState(Stage.FAILED, _shortened(what), exit_code=code, is_killed=True)
    return PodState(Stage.FAILED, _shortened(terminated.message or terminated.reason or ""), exit_code=code)


def _reason(pod: Any) -> str:
    """Return why Kubernetes ended a pod, such as an eviction."""
    return ": ".join(part for part in (pod.status.reason, pod.status.message) if part)


def _shortened(text: str) -> str:
    """Keep the end of a long text: a log ends with the error."""
    text = text.strip().rstrip(":")
    return text if len(text) <= _MAX_LENGTH else f"...{text[-_MAX_LENGTH:]}"


class StartTimeouts:
    """Timeouts of a pod that does not start.

    Args:
        start: seconds for which its image or container may be unavailable.
        pending: seconds for which it may wait for a node; None waits forever.
    """

    def __init__(self, start: float, pending: float | None) -> None:
        self._limits = {
            StartProblem.PERMANENT: 0.0,
            StartProblem.CONTAINER: start,
            StartProblem.NODE: max(start, NODE_TIMEOUT_SECONDS),
        }
        self._pending = pending
        self._since: tuple[Stage, StartProblem, float] | None = None

    def expired(self, state: PodState, now: float) -> str | None:
        """Return why the pod has failed, given its state at `now` (seconds), or None."""
        if self._since is None or self._since[:2] != (state.stage, state.problem):
            self._since = (state.stage, state.problem, now)
        lasted = now - self._since[2]
        if state.stage is Stage.PENDING and self._pending is not None and lasted >= self._pending:
            return f"no node could run its pod within {self._pending:.0f} s: {state.reason}"
        limit = self._limits.get(state.problem)
        if state.stage is Stage.STARTING and limit is not None and lasted >= limit:
            return f"its pod cannot start: {state.reason}"
        return None

"""What a job pod's state means: it waits, starts, runs, or has ended, and when a fault is one for good.

The kubelet tries again what went wrong, so no single warning ends a job. What ends it is a fault that lasts:
an image or a container that cannot be had for a minute, a volume or a network that cannot be had for ten
(moving a volume between nodes takes Kubernetes six).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

LONGEST_NODE_FAULT = 600.0
"""Seconds for which the kubelet may fail to mount a volume or to make the pod's network."""
CONTAINER = "job"
"""The name of a job's container."""
_LONGEST_REASON = 500

_BEING_MADE = (None, "ContainerCreating", "PodInitializing")
_HOPELESS = ("InvalidImageName",)
_EXIT_WORDS = {"OOMKilled": "it ran out of memory: its limit is too low for this job"}


class Stage(str, Enum):
    """How far a job pod is."""

    WAITING = "waiting"
    """No node has room for it."""
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Fault(str, Enum):
    """What keeps a pod from starting, by how long it may last."""

    NONE = "none"
    NODE = "node"
    CONTAINER = "container"
    HOPELESS = "hopeless"


@dataclass(frozen=True)
class Sighting:
    """A job pod at one moment."""

    stage: Stage
    reason: str = ""
    fault: Fault = Fault.NONE
    exit_code: int | None = None


def is_being_made(pod: Any) -> bool:
    """Whether its node has it and its container does not run yet, so that the kubelet's events tell more."""
    return bool(_phase(pod) == "Pending" and pod.spec.node_name)


def see(pod: Any, events: Sequence[Any] = ()) -> Sighting:
    """What the state of a pod means.

    Args:
        pod: a V1Pod.
        events: the CoreV1Events about it, if it is being made.
    """
    if (ended := _ended(pod)) is not None:
        return ended
    phase = _phase(pod)
    if phase == "Running":
        return Sighting(Stage.RUNNING)
    if not pod.spec.node_name:
        return Sighting(Stage.WAITING, _why_unscheduled(pod))
    return _starting(pod, events)


def _phase(pod: Any) -> str:
    return str((pod.status and pod.status.phase) or "Pending")


def _why_unscheduled(pod: Any) -> str:
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            # The first sentence; the rest tells how preemption would not help either.
            return _short((condition.message or condition.reason or "").partition(". ")[0])
    return ""


def _starting(pod: Any, events: Sequence[Any]) -> Sighting:
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        waiting = status.state and status.state.waiting
        if waiting and waiting.reason not in _BEING_MADE:
            fault = Fault.HOPELESS if waiting.reason in _HOPELESS else Fault.CONTAINER
            return Sighting(Stage.STARTING, _short(f"{waiting.reason}: {waiting.message or ''}"), fault)
    last = max(events, key=_when, default=None)
    if last is not None and last.type == "Warning":
        return Sighting(Stage.STARTING, _short(f"{last.reason}: {last.message or ''}"), Fault.NODE)
    return Sighting(Stage.STARTING)


def _when(event: Any) -> float:
    """When the kubelet last said it, in seconds."""
    times = (
        event.series and event.series.last_observed_time,
        event.last_timestamp,
        event.event_time,
        event.metadata.creation_timestamp,
    )
    return next((time.timestamp() for time in times if time), 0.0)


def _ended(pod: Any) -> Sighting | None:
    """How it ended, if it has: its container tells that a second before the pod does, and where a mesh
    has put another container beside it, the pod's never does."""
    for status in (pod.status and pod.status.container_statuses) or ():
        ended = status.state and status.state.terminated
        if ended and status.name == CONTAINER:
            if not ended.exit_code:
                return Sighting(Stage.SUCCEEDED, exit_code=0)
            words = _EXIT_WORDS.get(ended.reason or "", "") or _short(ended.message or ended.reason or "")
            return Sighting(Stage.FAILED, words, exit_code=ended.exit_code)
    phase = _phase(pod)
    if phase == "Succeeded":
        return Sighting(Stage.SUCCEEDED, exit_code=0)
    if phase != "Failed":
        return None
    reason = ": ".join(part for part in (pod.status.reason, pod.status.message) if part)
    return Sighting(Stage.FAILED, _short(reason or "Kubernetes does not say why"))


def _short(text: str) -> str:
    """Its end, where it is long: that is where a log says what went wrong."""
    words = text.strip().rstrip(":")
    return words if len(words) <= _LONGEST_REASON else f"...{words[-_LONGEST_REASON:]}"


class Patience:
    """How long a pod may go on not starting.

    Args:
        start: seconds for which its image or container may not be had.
        pending: seconds for which it may wait for room on a node; None: as long as it takes.
    """

    def __init__(self, start: float, pending: float | None) -> None:
        self._limits = {
            Fault.HOPELESS: 0.0,
            Fault.CONTAINER: start,
            Fault.NODE: max(start, LONGEST_NODE_FAULT),
        }
        self._pending = pending
        self._since: tuple[Stage, Fault, float] | None = None

    def ends(self, sighting: Sighting, now: float) -> str | None:
        """Why the pod is given up, seen so at `now` (seconds); None: it is not."""
        if self._since is None or self._since[:2] != (sighting.stage, sighting.fault):
            self._since = (sighting.stage, sighting.fault, now)
        lasted = now - self._since[2]
        if sighting.stage is Stage.WAITING and self._pending is not None and lasted >= self._pending:
            return f"no node had room for its pod within {self._pending:.0f} s: {sighting.reason}"
        limit = self._limits.get(sighting.fault)
        if sighting.stage is Stage.STARTING and limit is not None and lasted >= limit:
            return f"its pod cannot start: {sighting.reason}"
        return None

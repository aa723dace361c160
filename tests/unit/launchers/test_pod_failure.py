"""The states of a job pod, with the Kubernetes client's objects."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from kubernetes.client import (
    CoreV1Event,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1ObjectMeta,
    V1ObjectReference,
    V1Pod,
    V1PodCondition,
    V1PodSpec,
    V1PodStatus,
)

from fl_app.launchers.pod_failure import (
    NODE_TIMEOUT_SECONDS,
    PodState,
    Stage,
    StartProblem,
    StartTimeouts,
    is_creating,
    pod_state,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
SYNC = 'MountVolume.SetUp failed for volume "startup" : failed to sync secret cache: timed out waiting'


def pod(
    phase: str, node: str | None = "worker-1", state: V1ContainerState | None = None, **status: object
) -> V1Pod:
    statuses = None
    if state is not None:
        statuses = [
            V1ContainerStatus(name="job", image="i", image_id="", ready=False, restart_count=0, state=state)
        ]
    return V1Pod(
        metadata=V1ObjectMeta(name="job"),
        spec=V1PodSpec(containers=[], node_name=node),
        status=V1PodStatus(phase=phase, container_statuses=statuses, **status),
    )


def waiting(reason: str, message: str = "") -> V1ContainerState:
    return V1ContainerState(waiting=V1ContainerStateWaiting(reason=reason, message=message))


def terminated(exit_code: int, reason: str = "Error", message: str = "") -> V1ContainerState:
    return V1ContainerState(
        terminated=V1ContainerStateTerminated(exit_code=exit_code, reason=reason, message=message)
    )


def event(reason: str, message: str = "", kind: str = "Warning", after: float = 0) -> CoreV1Event:
    return CoreV1Event(
        metadata=V1ObjectMeta(name="e"),
        involved_object=V1ObjectReference(name="job"),
        reason=reason,
        message=message,
        type=kind,
        last_timestamp=NOON + timedelta(seconds=after),
    )


def unschedulable(message: str) -> V1Pod:
    condition = V1PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message=message)
    return pod("Pending", None, conditions=[condition])


CREATING = pod("Pending", state=waiting("ContainerCreating"))
PULLING = pod_state(pod("Pending", state=waiting("ErrImagePull", "not found")))
BACKING_OFF = pod_state(pod("Pending", state=waiting("ImagePullBackOff", "Back-off pulling image x")))
MISSING_SECRET = pod_state(CREATING, [event("FailedMount", "no such Secret")])


@pytest.mark.parametrize("pending", [None, 600])
def test_an_unschedulable_pod_is_pending_until_the_sites_timeout_if_there_is_one(pending: int | None) -> None:
    nodes = "0/3 nodes are available: 2 Insufficient nvidia.com/gpu"
    state = pod_state(unschedulable(f"{nodes}. preemption: 0/3"))
    assert state == PodState(Stage.PENDING, nodes)
    timeouts = StartTimeouts(start=60, pending=pending)
    assert timeouts.expired(state, 0) is None
    assert timeouts.expired(state, 599) is None
    expired = timeouts.expired(state, 30 * 24 * 3600 if pending is None else 600)
    assert expired == (pending and f"no node could run its pod within 600 s: {nodes}")


@pytest.mark.parametrize(
    "warning",
    [
        event("FailedMount", SYNC),
        event("FailedMount", "Unable to attach or mount volumes"),
        event("FailedCreatePodSandBox", "failed to reserve sandbox name"),
        event("Failed", "Error: failed to sync configmap cache: timed out waiting for the condition"),
        event("NetworkNotReady", "network is not ready"),
        event("BackOff", "Back-off"),
    ],
    ids=lambda warning: f"{warning.reason}-{warning.message[:12]}",
)
def test_a_warning_of_the_kubelet_is_reported_and_does_not_fail_the_job(warning: CoreV1Event) -> None:
    timeouts = StartTimeouts(start=60, pending=None)
    assert is_creating(CREATING)
    state = pod_state(CREATING, [warning])
    assert state.reason.startswith(warning.reason)
    assert timeouts.expired(state, 0) is None
    assert timeouts.expired(state, NODE_TIMEOUT_SECONDS - 1) is None
    assert timeouts.expired(pod_state(pod("Running")), NODE_TIMEOUT_SECONDS) is None


def test_a_later_normal_event_supersedes_a_warning() -> None:
    events = [event("Pulled", kind="Normal", after=2), event("FailedMount", SYNC, after=1)]
    assert pod_state(CREATING, events) == PodState(Stage.STARTING)


@pytest.mark.parametrize(
    ("first", "later", "seconds", "reason"),
    [
        (MISSING_SECRET, MISSING_SECRET, NODE_TIMEOUT_SECONDS, "FailedMount: no such Secret"),
        (PULLING, BACKING_OFF, 60, "ImagePullBackOff: Back-off pulling image x"),
    ],
    ids=["a volume that is missing", "an image that is missing"],
)
def test_what_a_pod_lacks_fails_the_job_after_a_timeout(
    first: PodState, later: PodState, seconds: float, reason: str
) -> None:
    timeouts = StartTimeouts(start=60, pending=None)
    assert timeouts.expired(first, 0) is None
    assert timeouts.expired(later, seconds - 1) is None
    assert timeouts.expired(later, seconds) == f"its pod cannot start: {reason}"


def test_a_successful_pull_resets_the_start_timeout() -> None:
    timeouts = StartTimeouts(start=60, pending=None)
    assert timeouts.expired(PULLING, 0) is None
    assert timeouts.expired(pod_state(CREATING), 50) is None
    assert timeouts.expired(PULLING, 61) is None


def test_an_invalid_image_name_fails_the_job_immediately() -> None:
    state = pod_state(pod("Pending", state=waiting("InvalidImageName", "couldn't parse")))
    assert state.problem is StartProblem.PERMANENT
    assert (
        StartTimeouts(60, None).expired(state, 0) == "its pod cannot start: InvalidImageName: couldn't parse"
    )


def test_a_finished_pod_has_its_exit_code_and_reason() -> None:
    assert pod_state(pod("Succeeded")).stage is Stage.SUCCEEDED
    broken = pod_state(
        pod("Failed", state=terminated(1, message="ModuleNotFoundError: No module named 'x'\n"))
    )
    assert (broken.stage, broken.exit_code) == (Stage.FAILED, 1)
    assert broken.reason == "ModuleNotFoundError: No module named 'x'"
    assert not broken.is_killed


def test_a_pod_that_something_ended_is_killed() -> None:
    assert pod_state(pod("Failed", state=terminated(137, "OOMKilled"))).is_out_of_memory
    killed = pod_state(pod("Running", state=terminated(139)))
    assert (killed.is_killed, killed.reason) == (True, "its job process was killed by signal 11 (SIGSEGV)")
    evicted = pod_state(pod("Failed", reason="Evicted", message="The node was low on memory."))
    reason = "its pod failed: Evicted: The node was low on memory."
    assert evicted == PodState(Stage.FAILED, reason, is_killed=True)
    stopped = {"reason": "Evicted", "message": "The node was low on memory."}
    assert pod_state(pod("Failed", state=terminated(137), **stopped)).reason == reason


@pytest.mark.parametrize(("seconds", "stage"), [(5, Stage.RUNNING), (60, Stage.FAILED)])
def test_a_deleted_pod_whose_node_does_not_stop_it_is_killed(seconds: int, stage: Stage) -> None:
    deleted = pod("Running")
    deleted.metadata.deletion_timestamp = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    state = pod_state(deleted)
    assert (state.stage, state.is_killed) == (stage, stage is Stage.FAILED)


def test_a_pod_has_finished_with_its_job_container_despite_sidecars() -> None:
    assert pod_state(pod("Running", state=terminated(0))) == PodState(Stage.SUCCEEDED, exit_code=0)
    assert pod_state(pod("Running", state=terminated(9))).stage is Stage.FAILED
    sidecar = pod("Running", state=terminated(0))
    sidecar.status.container_statuses[0].name = "mesh"
    assert pod_state(sidecar).stage is Stage.RUNNING


def test_the_end_of_a_long_reason_is_kept() -> None:
    reason = pod_state(pod("Failed", state=terminated(1, message="x" * 5000 + " the cause"))).reason
    assert reason.endswith("the cause")
    assert len(reason) < 600

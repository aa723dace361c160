"""What the states of a job pod mean, with Kubernetes' own objects."""

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
    LONGEST_NODE_FAULT,
    Fault,
    Patience,
    Sighting,
    Stage,
    is_being_made,
    see,
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


def ended(exit_code: int, reason: str = "Error", message: str = "") -> V1ContainerState:
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


def test_a_pod_for_which_no_node_has_a_gpu_waits_and_says_so_for_ever() -> None:
    sighting = see(unschedulable("0/3 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/3"))
    assert sighting == Sighting(Stage.WAITING, "0/3 nodes are available: 2 Insufficient nvidia.com/gpu")
    patience = Patience(start=60, pending=None)
    assert patience.ends(sighting, 0) is None
    assert patience.ends(sighting, 30 * 24 * 3600) is None


def test_where_the_site_says_how_long_a_pod_may_wait_it_ends_then() -> None:
    sighting = see(unschedulable("0/3 nodes are available"))
    patience = Patience(start=60, pending=600)
    assert patience.ends(sighting, 0) is None
    assert patience.ends(sighting, 599) is None
    assert patience.ends(sighting, 600) == (
        "no node had room for its pod within 600 s: 0/3 nodes are available"
    )


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
def test_a_warning_of_the_kubelet_is_told_and_ends_nothing_soon(warning: CoreV1Event) -> None:
    patience = Patience(start=60, pending=None)
    being_made = pod("Pending", state=waiting("ContainerCreating"))
    assert is_being_made(being_made)
    sighting = see(being_made, [warning])
    assert sighting.reason.startswith(warning.reason)
    assert patience.ends(sighting, 0) is None
    assert patience.ends(sighting, LONGEST_NODE_FAULT - 1) is None
    assert patience.ends(see(pod("Running")), LONGEST_NODE_FAULT) is None


def test_a_fault_that_the_kubelet_got_over_is_over() -> None:
    being_made = pod("Pending", state=waiting("ContainerCreating"))
    events = [event("Pulled", kind="Normal", after=2), event("FailedMount", SYNC, after=1)]
    assert see(being_made, events) == Sighting(Stage.STARTING)


def test_a_volume_that_never_comes_ends_a_job_in_the_end() -> None:
    patience = Patience(start=60, pending=None)
    sighting = see(
        pod("Pending", state=waiting("ContainerCreating")), [event("FailedMount", "no such Secret")]
    )
    assert patience.ends(sighting, 0) is None
    assert patience.ends(sighting, LONGEST_NODE_FAULT) == "its pod cannot start: FailedMount: no such Secret"


def test_an_image_that_is_not_there_ends_a_job_after_a_minute_of_trying() -> None:
    patience = Patience(start=60, pending=None)
    pulling = see(pod("Pending", state=waiting("ErrImagePull", "not found")))
    backing_off = see(pod("Pending", state=waiting("ImagePullBackOff", "Back-off pulling image x")))
    assert patience.ends(pulling, 0) is None
    assert patience.ends(backing_off, 59) is None
    assert patience.ends(backing_off, 60) == (
        "its pod cannot start: ImagePullBackOff: Back-off pulling image x"
    )


def test_a_registry_that_comes_back_in_time_is_forgiven() -> None:
    patience = Patience(start=60, pending=None)
    pulling = see(pod("Pending", state=waiting("ErrImagePull")))
    assert patience.ends(pulling, 0) is None
    assert patience.ends(see(pod("Pending", state=waiting("ContainerCreating"))), 50) is None
    assert patience.ends(pulling, 61) is None


def test_a_name_that_no_image_can_have_ends_a_job_at_once() -> None:
    sighting = see(pod("Pending", state=waiting("InvalidImageName", "couldn't parse")))
    assert sighting.fault is Fault.HOPELESS
    assert Patience(60, None).ends(sighting, 0) == "its pod cannot start: InvalidImageName: couldn't parse"


def test_how_a_container_ended_is_told() -> None:
    assert see(pod("Succeeded")).stage is Stage.SUCCEEDED
    broken = see(pod("Failed", state=ended(1, message="ModuleNotFoundError: No module named 'x'\n")))
    assert (broken.stage, broken.exit_code) == (Stage.FAILED, 1)
    assert broken.reason == "ModuleNotFoundError: No module named 'x'"
    assert "out of memory" in see(pod("Failed", state=ended(137, "OOMKilled"))).reason
    evicted = see(pod("Failed", reason="Evicted", message="The node was low on memory."))
    assert evicted == Sighting(Stage.FAILED, "Evicted: The node was low on memory.")


def test_a_pod_has_ended_when_its_job_has_whatever_runs_beside_it() -> None:
    assert see(pod("Running", state=ended(0))) == Sighting(Stage.SUCCEEDED, exit_code=0)
    assert see(pod("Running", state=ended(9))).stage is Stage.FAILED
    beside = pod("Running", state=ended(0))
    beside.status.container_statuses[0].name = "mesh"
    assert see(beside).stage is Stage.RUNNING


def test_of_a_long_log_the_end_is_told() -> None:
    told = see(pod("Failed", state=ended(1, message="x" * 5000 + " the cause"))).reason
    assert told.endswith("the cause")
    assert len(told) < 600

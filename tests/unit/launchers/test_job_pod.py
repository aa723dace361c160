"""A job's pod from its creation to its deletion, with a fake cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode

from fl_app.launchers.job_pod import Callbacks, JobPod, job_pods
from fl_app.launchers.namespace import RejectedError
from fl_app.launchers.pod_failure import StartTimeouts
from fl_app.launchers.restarts import RestartBudget, Restarts
from fl_app.survival.interventions import Intervention
from tests.unit.launchers.test_manifest import PLAN
from tests.unit.launchers.test_pod_failure import event, pod, terminated, unschedulable, waiting
from tests.waiting import eventually


@dataclass
class Namespace:
    """A fake JobNamespace whose pod has each of `states` in turn.

    A state that is a function is called; a state that is None is a pod that was deleted.
    """

    states: list[Any] = field(default_factory=list)
    rejection: str = ""
    warnings: list[Any] = field(default_factory=list)
    objects: set[str] = field(default_factory=set)
    uids: list[str] = field(default_factory=list)
    """Uids of the pods that were created."""

    def create_secret(self, body: dict[str, Any]) -> None:
        self.objects.add(f"secret/{body['metadata']['name']}")

    def create_pod(self, body: dict[str, Any], secret: str) -> str:
        assert f"secret/{secret}" in self.objects, "the pod needs its Secret"
        if self.rejection:
            raise RejectedError(self.rejection)
        self.objects.add(f"pod/{body['metadata']['name']}")
        self.uids.append(f"uid-{len(self.uids) + 1}")
        return self.uids[-1]

    def watch_pod(self, name: str, uid: str, seconds: int) -> Iterator[Any]:
        assert uid == self.uids[-1]
        state = self.states.pop(0)
        yield state() if callable(state) else state

    def pod_events(self, name: str) -> list[Any]:
        return self.warnings

    def delete_pod(self, name: str) -> None:
        self.objects.discard(f"pod/{name}")

    def delete_secret(self, name: str) -> None:
        self.objects.discard(f"secret/{name}")

    def pause(self) -> None:
        raise AssertionError("watching the pod failed")


@dataclass
class Reported:
    """Calls of the callbacks of a job pod."""

    pending: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    error_output: list[str] = field(default_factory=list)
    finished: int = 0

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture
def reported() -> Reported:
    return Reported()


def launched(
    namespace: Namespace,
    reported: Reported,
    keep: float = 0.0,
    restarts: Restarts | None = None,
    is_server: bool = False,
) -> JobPod:
    container = {"name": "job", "resources": {"limits": {"memory": "4Gi"}}}
    body = {"metadata": {"name": PLAN.name}, "spec": {"containers": [container]}}
    made = JobPod(
        namespace,  # type: ignore[arg-type]
        plan=PLAN,
        pod=body,
        secret=body,
        timeouts=StartTimeouts(60, None),
        keep=keep,
        restarts=restarts or Restarts(None, PLAN.job_id, "north", budget=RestartBudget(limit=0)),
        callbacks=Callbacks(
            reported.pending.append, reported.failures.append, reported.error_output.append, reported.finish
        ),
        is_server=is_server,
    )
    made.start()
    return made


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_app.launchers.job_pod.EARLIEST_FAILURE_SECONDS", 0.0)
    monkeypatch.setattr("fl_app.launchers.restarts.FIRST_PAUSE_SECONDS", 0.0)


def test_a_successful_pod_is_deleted_with_its_secret(reported: Reported) -> None:
    namespace = Namespace([pod("Pending"), pod("Running"), pod("Succeeded")])
    made = launched(namespace, reported)
    assert namespace.objects == {"pod/j1-site-1", "secret/j1-site-1"}
    assert made.poll() == JobReturnCode.UNKNOWN
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert namespace.objects == set()
    assert reported == Reported(finished=1)


def test_a_finished_pod_is_kept_on_request_but_not_its_secret(reported: Reported) -> None:
    namespace = Namespace([pod("Succeeded")])
    launched(namespace, reported, keep=3600).wait()
    assert namespace.objects == {"pod/j1-site-1"}


def test_a_temporary_warning_of_the_kubelet_does_not_fail_a_job(reported: Reported) -> None:
    creating = pod("Pending", state=waiting("ContainerCreating"))
    namespace = Namespace([creating, creating, pod("Running"), pod("Succeeded")])
    namespace.warnings = [event("FailedMount", "failed to sync secret cache: timed out waiting")]
    made = launched(namespace, reported)
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert reported.pending[0].startswith("FailedMount: failed to sync secret cache")
    assert reported.pending[-1] == ""
    assert reported.failures == []


def test_a_pending_pod_reports_its_reason_until_it_runs(reported: Reported) -> None:
    no_room = unschedulable("0/3 nodes are available: 2 Insufficient nvidia.com/gpu.")
    namespace = Namespace([no_room, no_room, pod("Running"), pod("Succeeded")])
    launched(namespace, reported).wait()
    assert reported.pending == ["0/3 nodes are available: 2 Insufficient nvidia.com/gpu."] * 2 + [""]


def test_a_rejected_pod_fails_its_job_and_leaves_no_secret(reported: Reported) -> None:
    namespace = Namespace(rejection='pods "x" is forbidden: exceeded quota: few')
    made = launched(namespace, reported)
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    assert reported.failures == ['Kubernetes rejected its pod: pods "x" is forbidden: exceeded quota: few']
    assert namespace.objects == set()
    made.wait()


@pytest.mark.parametrize(
    ("states", "failure"),
    [
        (
            [pod("Pending", state=waiting("InvalidImageName", "couldn't parse"))],
            "its pod cannot start: InvalidImageName: couldn't parse",
        ),
        ([pod("Running"), None], "was deleted"),
        (
            [pod("Running"), pod("Failed", state=terminated(137, "OOMKilled"))],
            "its job process was killed by the kernel: out of memory at 4.0 GiB; "
            "raise jobPods.resources.limits.memory in its values, or memory in the job's resource_spec",
        ),
    ],
    ids=["an invalid image", "deleted by a user", "out of memory"],
)
def test_a_pod_that_fails_fails_its_job_with_the_reason(
    reported: Reported, states: list[Any], failure: str
) -> None:
    namespace = Namespace(list(states))
    made = launched(namespace, reported)
    made.wait()
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    (found,) = reported.failures
    assert failure in found
    assert namespace.objects == set()


def test_a_job_that_fails_keeps_nvflares_return_code(reported: Reported) -> None:
    made = launched(Namespace([pod("Failed", state=terminated(101, message="ValueError: no"))]), reported)
    made.wait()
    assert made.poll() == JobReturnCode.EXCEPTION
    assert (reported.failures, reported.error_output) == ([], ["ValueError: no"])


def test_the_servers_pod_is_created_again_after_an_exit_that_the_job_did_not_choose(
    reported: Reported,
) -> None:
    """NVFlare exits with code 1 if it cannot receive a result; a job that fails has other codes."""
    exited = pod("Failed", state=terminated(1))
    namespace = Namespace([pod("Running"), exited, pod("Running"), pod("Succeeded")])
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, ""), is_server=True)
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert namespace.uids == ["uid-1", "uid-2"]

    always = Namespace([exited] * 3)
    made = launched(always, reported, restarts=Restarts(None, PLAN.job_id, ""), is_server=True)
    made.wait()
    assert reported.failures == ["its job process ended with exit code 1, 3 times without progress"]


@pytest.mark.parametrize(("code", "is_server"), [(1, False), (101, True), (9, True)])
def test_a_pod_that_ends_by_its_own_choice_is_not_created_again(
    reported: Reported, code: int, is_server: bool
) -> None:
    namespace = Namespace([pod("Failed", state=terminated(code))])
    restarts = Restarts(None, PLAN.job_id, "")
    made = launched(namespace, reported, restarts=restarts, is_server=is_server)
    made.wait()
    assert made.poll() == code
    assert namespace.uids == ["uid-1"]


def test_an_aborted_job_leaves_no_objects(reported: Reported) -> None:
    namespace = Namespace([pod("Running")])
    made = launched(namespace, reported, keep=3600)
    made.terminate()
    made.terminate()
    made.wait()
    assert made.poll() == JobReturnCode.ABORTED
    assert namespace.objects == set()
    assert reported == Reported(finished=1)


EVICTED = pod("Failed", reason="Evicted", message="The node was low on resource: memory.")
OUT_OF_MEMORY = pod("Failed", state=terminated(137, "OOMKilled"))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (None, "its pod was deleted, by a user or because its node was drained"),
        (EVICTED, "its pod failed: Evicted: The node was low on resource: memory."),
        (pod("Failed", state=terminated(137)), "its job process was killed by signal 9 (SIGKILL)"),
        (
            OUT_OF_MEMORY,
            "its job process was killed by the kernel: out of memory at 4.0 GiB; "
            "raise jobPods.resources.limits.memory in its values, or memory in the job's resource_spec",
        ),
    ],
    ids=["deleted", "evicted", "killed", "out of memory"],
)
def test_a_pod_that_was_killed_is_created_again(
    reported: Reported, monkeypatch: pytest.MonkeyPatch, state: Any, reason: str
) -> None:
    history: list[Intervention] = []
    monkeypatch.setattr("fl_app.launchers.restarts.record", lambda engine, job_id, one: history.append(one))
    namespace = Namespace([pod("Running"), state, pod("Pending"), pod("Running"), pod("Succeeded")])
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, "site-1"))
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert namespace.uids == ["uid-1", "uid-2"]
    assert reported == Reported(finished=1)
    eventually(lambda: [one.line for one in history] == [f"site-1: {reason}; started again"], 5)


def test_a_pod_that_always_runs_out_of_memory_fails_its_job_after_two_restarts(reported: Reported) -> None:
    namespace = Namespace([OUT_OF_MEMORY] * 3)
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, "site-1"))
    made.wait()
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    assert len(namespace.uids) == 3
    (failure,) = reported.failures
    assert "out of memory at 4.0 GiB" in failure
    assert failure.endswith("3 times without progress")
    assert namespace.objects == set()


def test_a_pod_that_cannot_be_created_again_is_retried(reported: Reported) -> None:
    """The pod that was deleted may still count for the quota."""
    namespace = Namespace([pod("Running"), None, pod("Succeeded")])
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, "site-1"))
    create, calls = namespace.create_pod, []

    def create_at_last(body: dict[str, Any], secret: str) -> str:
        calls.append(secret)
        namespace.rejection = "exceeded quota" if len(calls) < 3 else ""
        return create(body, secret)

    namespace.create_pod = create_at_last  # type: ignore[method-assign]
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert len(calls) == 3


def test_a_pod_that_nvflare_aborts_is_not_created_again(reported: Reported) -> None:
    namespace = Namespace()
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, "site-1"))

    def abort() -> None:
        made.terminate()

    namespace.states = [pod("Running"), abort]
    made.wait()
    assert made.poll() == JobReturnCode.ABORTED
    assert namespace.uids == ["uid-1"]
    assert namespace.objects == set()


def test_an_abort_between_two_pods_leaves_no_pod(reported: Reported) -> None:
    namespace = Namespace([pod("Running"), None])
    made = launched(namespace, reported, restarts=Restarts(None, PLAN.job_id, "site-1"))
    create = namespace.create_pod

    def create_slowly(body: dict[str, Any], secret: str) -> str:
        abort = threading.Thread(target=made.terminate)
        abort.start()
        eventually(lambda: made.poll() == JobReturnCode.ABORTED, 10, "the job is aborted")
        threads.append(abort)
        return create(body, secret)

    threads: list[threading.Thread] = []
    namespace.create_pod = create_slowly  # type: ignore[method-assign]
    made.wait()
    threads[0].join(10)
    assert namespace.objects == set()
    assert reported == Reported(finished=1)


def test_telemetry_shows_a_pod_until_it_has_finished(reported: Reported) -> None:
    made = launched(Namespace([unschedulable("no room"), pod("Succeeded")]), reported)
    (shown,) = job_pods()
    assert (shown.job, shown.phase) == ("hospital", "Pending")
    assert shown.pending_since is not None
    made.wait()
    assert job_pods() == ()

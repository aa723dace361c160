"""A job's pod that was killed is created again, within limits."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode

from fl_app.launchers.restarts import Restarts
from fl_app.survival.interventions import Intervention
from tests.unit.launchers.fake_pod import Namespace, Reported, launched
from tests.unit.launchers.test_manifest import PLAN
from tests.unit.launchers.test_pod_failure import pod, terminated
from tests.waiting import eventually


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
    assert reported.secrets == 2, "the pod that was killed may still deliver with the token of its Secret"
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

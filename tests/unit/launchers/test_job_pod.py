"""A job's pod from its creation to its removal, against a cluster that does what the test says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode

from fl_app.launchers.cluster import RefusedError
from fl_app.launchers.job_pod import JobPod, Reports, job_pods
from fl_app.launchers.pod_failure import Patience
from tests.unit.launchers.test_manifest import PLAN
from tests.unit.launchers.test_pod_failure import ended, event, pod, unschedulable, waiting


@dataclass
class Namespace:
    """Kubernetes, as far as a job pod sees it: it shows `states` one after the other."""

    states: list[Any] = field(default_factory=list)
    refuses: str = ""
    warnings: list[Any] = field(default_factory=list)
    there: set[str] = field(default_factory=set)

    def create_secret(self, body: dict[str, Any]) -> None:
        self.there.add(f"secret/{body['metadata']['name']}")

    def create_pod(self, body: dict[str, Any], secret: str) -> None:
        assert f"secret/{secret}" in self.there, "the pod would not start without it"
        if self.refuses:
            raise RefusedError(self.refuses)
        self.there.add(f"pod/{body['metadata']['name']}")

    def follow(self, name: str, seconds: int) -> Iterator[Any]:
        yield self.states.pop(0)

    def events(self, name: str) -> list[Any]:
        return self.warnings

    def delete_pod(self, name: str) -> None:
        self.there.discard(f"pod/{name}")

    def delete_secret(self, name: str) -> None:
        self.there.discard(f"secret/{name}")

    def pause(self) -> None:
        raise AssertionError("something went wrong")


@dataclass
class Told:
    """What a job pod reports."""

    waiting: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    last_words: list[str] = field(default_factory=list)
    ended: int = 0

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def told() -> Told:
    return Told()


def launched(namespace: Namespace, told: Told, keep: float = 0.0, patience: Patience | None = None) -> JobPod:
    body = {"metadata": {"name": PLAN.name}}
    made = JobPod(
        namespace,  # type: ignore[arg-type]
        plan=PLAN,
        pod=body,
        secret=body,
        patience=patience or Patience(60, None),
        keep=keep,
        reports=Reports(told.waiting.append, told.failures.append, told.last_words.append, told.end),
    )
    made.start()
    return made


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_app.launchers.job_pod.EARLIEST_FAILURE", 0.0)


def test_a_pod_that_does_its_work_is_removed_with_its_secret(told: Told) -> None:
    namespace = Namespace([pod("Pending"), pod("Running"), pod("Succeeded")])
    made = launched(namespace, told)
    assert namespace.there == {"pod/j1-site-1", "secret/j1-site-1"}
    assert made.poll() == JobReturnCode.UNKNOWN
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert namespace.there == set()
    assert told == Told(ended=1), "nobody hears of a pod that simply works"


def test_a_finished_pod_stays_to_be_looked_at_where_that_is_wanted_but_not_its_secret(told: Told) -> None:
    namespace = Namespace([pod("Succeeded")])
    launched(namespace, told, keep=3600).wait()
    assert namespace.there == {"pod/j1-site-1"}


def test_a_warning_that_the_kubelet_gets_over_does_not_end_a_job(told: Told) -> None:
    creating = pod("Pending", state=waiting("ContainerCreating"))
    namespace = Namespace([creating, creating, pod("Running"), pod("Succeeded")])
    namespace.warnings = [event("FailedMount", "failed to sync secret cache: timed out waiting")]
    made = launched(namespace, told)
    made.wait()
    assert made.poll() == JobReturnCode.SUCCESS
    assert told.waiting[0].startswith("FailedMount: failed to sync secret cache")
    assert told.waiting[-1] == "", "and is taken back"
    assert told.failures == []


def test_a_pod_that_waits_for_a_gpu_says_so_until_it_runs(told: Told) -> None:
    no_room = unschedulable("0/3 nodes are available: 2 Insufficient nvidia.com/gpu.")
    namespace = Namespace([no_room, no_room, pod("Running"), pod("Succeeded")])
    launched(namespace, told).wait()
    assert told.waiting == ["0/3 nodes are available: 2 Insufficient nvidia.com/gpu."] * 2 + [""]


def test_a_pod_that_kubernetes_refuses_ends_its_job_with_the_reason_and_leaves_no_secret(told: Told) -> None:
    namespace = Namespace(refuses='pods "x" is forbidden: exceeded quota: few')
    made = launched(namespace, told)
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    assert told.failures == ['Kubernetes refuses its pod: pods "x" is forbidden: exceeded quota: few']
    assert namespace.there == set()
    made.wait()


def test_a_pod_whose_image_cannot_be_had_ends_its_job_and_goes(told: Told) -> None:
    namespace = Namespace([pod("Pending", state=waiting("InvalidImageName", "couldn't parse"))])
    made = launched(namespace, told)
    made.wait()
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    assert told.failures == ["its pod cannot start: InvalidImageName: couldn't parse"]
    assert namespace.there == set()


def test_a_pod_that_somebody_removes_ends_its_job(told: Told) -> None:
    made = launched(Namespace([pod("Running"), None]), told)
    made.wait()
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR
    assert "removed it" in told.failures[0]


def test_a_job_that_runs_out_of_memory_says_so(told: Told) -> None:
    made = launched(Namespace([pod("Running"), pod("Failed", state=ended(137, "OOMKilled"))]), told)
    made.wait()
    assert "with exit code 137: it ran out of memory" in told.failures[0]
    assert made.poll() == JobReturnCode.INFRASTRUCTURE_ERROR


def test_a_job_that_fails_by_itself_keeps_nvflares_code(told: Told) -> None:
    made = launched(Namespace([pod("Failed", state=ended(101, message="ValueError: no"))]), told)
    made.wait()
    assert made.poll() == JobReturnCode.EXCEPTION
    assert (told.failures, told.last_words) == ([], ["ValueError: no"])


def test_an_aborted_job_leaves_nothing(told: Told) -> None:
    namespace = Namespace([pod("Running")])
    made = launched(namespace, told, keep=3600)
    made.terminate()
    made.terminate()
    made.wait()
    assert made.poll() == JobReturnCode.ABORTED
    assert namespace.there == set()
    assert told == Told(ended=1)


def test_telemetry_sees_a_pod_as_long_as_it_has_not_ended(told: Told) -> None:
    made = launched(Namespace([unschedulable("no room"), pod("Succeeded")]), told)
    (shown,) = job_pods()
    assert (shown.job, shown.phase) == ("hospital", "Pending")
    assert shown.pending_since is not None
    made.wait()
    assert job_pods() == ()

"""A job's pod from its creation to its deletion, with a fake cluster."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode

from fl_app.launchers.job_pod import job_pods
from tests.unit.launchers.fake_pod import Namespace, Reported, launched
from tests.unit.launchers.test_pod_failure import event, pod, terminated, unschedulable, waiting


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


def test_a_pending_pod_reports_its_reason_until_it_runs_and_logs_it_once(
    reported: Reported, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    unschedulable_pod = unschedulable("0/3 nodes are available: 2 Insufficient nvidia.com/gpu.")
    namespace = Namespace([unschedulable_pod] * 2 + [pod("Running"), pod("Succeeded")])
    launched(namespace, reported).wait()
    assert reported.pending == ["0/3 nodes are available: 2 Insufficient nvidia.com/gpu."] * 2 + [""]
    assert caplog.text.count("is pending: 0/3 nodes are available") == 1


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


def test_an_aborted_job_leaves_no_objects(reported: Reported) -> None:
    namespace = Namespace([pod("Running")])
    made = launched(namespace, reported, keep=3600)
    made.terminate()
    made.terminate()
    made.wait()
    assert made.poll() == JobReturnCode.ABORTED
    assert namespace.objects == set()
    assert reported == Reported(finished=1)


def test_telemetry_shows_a_pod_until_it_has_finished(reported: Reported) -> None:
    made = launched(Namespace([unschedulable("no room"), pod("Succeeded")]), reported)
    (shown,) = job_pods()
    assert (shown.job, shown.phase) == ("hospital", "Pending")
    assert shown.pending_since is not None
    made.wait()
    assert job_pods() == ()

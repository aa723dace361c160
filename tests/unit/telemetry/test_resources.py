"""Metrics of the machine: disk usage and job pods; test_gpus.py tests GPUs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from fl_app.telemetry import pods as pods_module
from fl_app.telemetry.catalogue import LABELS
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.pods import JobPodStatus, job_pod_metrics, show_job_pods
from fl_app.telemetry.resources import WorkspaceMetrics, _nvml, disk_usage, gpu_metrics
from tests.waiting import eventually

IDENTITY = ParentIdentity("site-1", "client", project="hospitals")


def samples(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Return values by name and labels, without LABELS."""
    return {
        (one.name, *(one.labels[name] for name in one.labels if name not in LABELS)): one.value
        for family in families
        for one in family.samples
    }


def test_without_the_library_there_are_no_gpu_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    _nvml.cache_clear()

    assert samples(gpu_metrics(IDENTITY)) == {}


def test_disk_usage_is_measured_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "job" / "model").mkdir(parents=True)
    (tmp_path / "job" / "model" / "weights").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to("/")
    metrics = WorkspaceMetrics(tmp_path)

    eventually(
        lambda: ("nvflare_workspace_used_bytes",) in samples(metrics(IDENTITY)), what="disk usage is measured"
    )
    found = samples(metrics(IDENTITY))

    assert 100_000 <= found["nvflare_workspace_used_bytes",] < 200_000
    assert found["nvflare_workspace_free_bytes",] > 0


def test_a_missing_folder_has_no_disk_usage(tmp_path: Path) -> None:
    assert disk_usage(tmp_path / "gone") == 0


def test_job_pods_are_counted_by_phase_with_the_longest_pending_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods_module, "_list_pods", None)
    assert samples(job_pod_metrics(IDENTITY)) == {}
    show_job_pods(
        lambda: [
            JobPodStatus("hospital", "Pending", 200.0),
            JobPodStatus("hospital", "Pending", 100.0),
            JobPodStatus("probe", "Running"),
            JobPodStatus("probe", "Strange"),
        ]
    )

    assert samples(job_pod_metrics(IDENTITY)) == {
        ("nvflare_job_pods", "Pending"): 2,
        ("nvflare_job_pods", "Running"): 1,
        ("nvflare_job_pods", "Succeeded"): 0,
        ("nvflare_job_pods", "Failed"): 0,
        ("nvflare_job_pods", "Unknown"): 1,
        ("nvflare_job_pod_pending_timestamp_seconds", "hospital"): 100.0,
    }

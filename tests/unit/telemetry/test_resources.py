"""The machine's figures: of GPUs where NVIDIA's library answers, of the workspace without waiting for it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.core import Metric

from fl_app.telemetry import pods as pods_module
from fl_app.telemetry.catalogue import LABELS
from fl_app.telemetry.metrics import Identity
from fl_app.telemetry.pods import JobPod, Pods, show_job_pods
from fl_app.telemetry.resources import Gpus, WorkspaceSpace, bytes_below
from tests.waiting import eventually

IDENTITY = Identity("site-1", "client", project="hospitals")


class Nvml(SimpleNamespace):
    """NVIDIA's management library on a machine with two GPUs, of which the second is lost."""

    class NVMLError(Exception):
        """As the library's."""

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 1:
            raise self.NVMLError("GPU is lost")
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=2**30, total=2**34)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=37)


def samples(families: Iterable[Metric]) -> dict[tuple[str, ...], float]:
    """Name and further labels -> value."""
    return {
        (one.name, *(one.labels[name] for name in one.labels if name not in LABELS)): one.value
        for family in families
        for one in family.samples
    }


def test_each_gpu_that_answers_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())

    assert samples(Gpus(IDENTITY)()) == {
        ("nvflare_gpu_utilization_ratio", "0"): 0.37,
        ("nvflare_gpu_memory_used_bytes", "0"): 2**30,
        ("nvflare_gpu_memory_total_bytes", "0"): 2**34,
    }


def test_without_a_driver_there_are_no_gpu_metrics_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has NVIDIA's driver")
    gpus = Gpus(IDENTITY)

    assert samples(gpus()) == {}
    assert samples(gpus()) == {}
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_without_the_library_there_are_none_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)

    assert samples(Gpus(IDENTITY)()) == {}


def test_the_workspace_is_counted_in_the_background(tmp_path: Path) -> None:
    (tmp_path / "job" / "model").mkdir(parents=True)
    (tmp_path / "job" / "model" / "weights").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to("/")
    space = WorkspaceSpace(IDENTITY, tmp_path)

    eventually(lambda: ("nvflare_workspace_used_bytes",) in samples(space()), what="it is counted")
    found = samples(space())

    assert 100_000 <= found["nvflare_workspace_used_bytes",] < 200_000
    assert found["nvflare_workspace_free_bytes",] > 0


def test_files_that_vanish_while_they_are_counted_count_nothing(tmp_path: Path) -> None:
    assert bytes_below(tmp_path / "gone") == 0


def test_job_pods_are_counted_by_phase_and_the_longest_wait_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pods_module, "_pods", None)
    assert samples(Pods(IDENTITY)()) == {}
    show_job_pods(
        lambda: [
            JobPod("hospital", "Pending", 200.0),
            JobPod("hospital", "Pending", 100.0),
            JobPod("probe", "Running"),
            JobPod("probe", "Strange"),
        ]
    )

    assert samples(Pods(IDENTITY)()) == {
        ("nvflare_job_pods", "Pending"): 2,
        ("nvflare_job_pods", "Running"): 1,
        ("nvflare_job_pods", "Succeeded"): 0,
        ("nvflare_job_pods", "Failed"): 0,
        ("nvflare_job_pods", "Unknown"): 1,
        ("nvflare_job_pod_pending_timestamp_seconds", "hospital"): 100.0,
    }

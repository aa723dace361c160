"""Metrics of a parent's machine: disk usage of the workspace, and NVIDIA GPUs."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import ParentIdentity, family_of

MEASURE_SECONDS = 60.0
"""Interval between two measurements of the disk usage."""
PAUSE_FACTOR = 50
"""A measurement that takes t seconds is followed by a pause of at least PAUSE_FACTOR * t seconds."""
GPU_METRICS = ("gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_memory_total_bytes")

_log = logging.getLogger(__name__)


class WorkspaceMetrics:
    """Disk usage and free space of a workspace. A thread measures, so that a scrape does not wait."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._used: int | None = None
        threading.Thread(target=self._measure_regularly, name="disk-usage", daemon=True).start()

    def __call__(self, identity: ParentIdentity) -> Iterable[Metric]:
        """Return disk usage, if it has been measured, and free space, if the workspace exists."""
        labels = identity.labels
        free: dict[tuple[str, ...], float] = {}
        with suppress(FileNotFoundError):
            free = {labels: shutil.disk_usage(self._workspace).free}
        return (
            family_of("workspace_used_bytes", {labels: self._used} if self._used is not None else {}),
            family_of("workspace_free_bytes", free),
        )

    def _measure_regularly(self) -> None:
        while True:
            begin = time.monotonic()
            try:
                self._used = disk_usage(self._workspace)
            except OSError as error:
                _log.warning("Telemetry: the disk usage of the workspace cannot be measured: %s", error)
            threading.Event().wait(max(MEASURE_SECONDS, PAUSE_FACTOR * (time.monotonic() - begin)))


def disk_usage(folder: Path) -> int:
    """Return the disk usage of all files below a folder, in bytes; ignore files that disappear meanwhile."""
    total = 0
    folders = [str(folder)]
    while folders:
        with suppress(FileNotFoundError, PermissionError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return total


def gpu_metrics(identity: ParentIdentity) -> Iterable[Metric]:
    """Return utilization and memory of each NVIDIA GPU; nothing if there is no driver."""
    nvml = _nvml()
    if nvml is None:
        return ()
    values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in GPU_METRICS}
    for number in range(nvml.nvmlDeviceGetCount()):
        labels = (*identity.labels, str(number))
        with suppress(nvml.NVMLError):  # a GPU that fails does not affect the others
            gpu = nvml.nvmlDeviceGetHandleByIndex(number)
            memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
            values["gpu_memory_used_bytes"][labels] = memory.used
            values["gpu_memory_total_bytes"][labels] = memory.total
            rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
            values["gpu_utilization_ratio"][labels] = rates.gpu / 100
    return [family_of(name, by_gpu) for name, by_gpu in values.items()]


@cache
def _nvml() -> Any:
    """Return NVIDIA's management library; None if it is not available."""
    try:
        import pynvml  # type: ignore[import-untyped]

        pynvml.nvmlInit()
    except Exception as error:  # no driver, no library, or no permission
        _log.info("Telemetry: no GPU metrics: %s", error)
        return None
    return pynvml

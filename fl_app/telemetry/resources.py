"""What a parent's machine has: the workspace's files and volume, and NVIDIA GPUs where there are some."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from fl_app.telemetry.metrics import Identity, gauge_of

COUNT_SECONDS = 60.0
"""Between two counts of the workspace's files."""
COUNT_SHARE = 50
"""A count that takes t seconds is followed by COUNT_SHARE * t seconds without one."""

_log = logging.getLogger(__name__)


class WorkspaceSpace:
    """Counts what the files of a workspace take, in a thread of its own: a scrape waits for no disk.

    Args:
        identity: whose workspace it is.
        workspace: its folder.
    """

    def __init__(self, identity: Identity, workspace: Path) -> None:
        self._identity = identity
        self._workspace = workspace
        self._used: int | None = None
        threading.Thread(target=self._keep_counting, name="workspace-space", daemon=True).start()

    def __call__(self) -> Iterable[Metric]:
        """Used, once it has been counted, and free."""
        used, free = gauge_of("workspace_used_bytes"), gauge_of("workspace_free_bytes")
        if self._used is not None:
            used.add_metric(self._identity.labels, self._used)
        with suppress(FileNotFoundError):  # not laid out yet
            free.add_metric(self._identity.labels, shutil.disk_usage(self._workspace).free)
        return used, free

    def _keep_counting(self) -> None:
        while True:
            begin = time.monotonic()
            try:
                self._used = bytes_below(self._workspace)
            except OSError as error:
                _log.warning("The workspace cannot be counted: %s", error)
            threading.Event().wait(max(COUNT_SECONDS, COUNT_SHARE * (time.monotonic() - begin)))


def bytes_below(folder: Path) -> int:
    """What the files below a folder take on their volume; what vanishes meanwhile counts nothing."""
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


class Gpus:
    """NVIDIA's GPUs, where the driver answers; elsewhere there are no metrics, and no error.

    Args:
        identity: whose they are.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._nvml: Any = None
        self._absent = False

    def __call__(self) -> Iterable[Metric]:
        """How busy each is, and its memory."""
        nvml = self._open()
        if nvml is None:
            return ()
        busy, used, total = families = (
            gauge_of("gpu_utilization_ratio"),
            gauge_of("gpu_memory_used_bytes"),
            gauge_of("gpu_memory_total_bytes"),
        )
        for number in range(nvml.nvmlDeviceGetCount()):
            labels = (*self._identity.labels, str(number))
            with suppress(nvml.NVMLError):  # one that is lost, or hides a figure, hides no other
                gpu = nvml.nvmlDeviceGetHandleByIndex(number)
                memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
                used.add_metric(labels, memory.used)
                total.add_metric(labels, memory.total)
                busy.add_metric(labels, nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
        return families

    def _open(self) -> Any:
        """NVIDIA's management library, asked once whether it is there."""
        if self._nvml is None and not self._absent:
            try:
                import pynvml  # type: ignore[import-untyped]

                pynvml.nvmlInit()
                self._nvml = pynvml
            except Exception as error:  # no driver, no library, no permission: no GPU
                self._absent = True
                _log.info("No GPU metrics: %s", error)
        return self._nvml

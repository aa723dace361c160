"""Peak memory of the processes of a federation."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict

import psutil

_SECONDS = 0.2
"""Interval of the samples."""
_PARTS = {
    "fl_app.launchers.template": "prepared process",
    "runner_process": "job process",
    "worker_process": "job process",
    "fl_app.launchers.server_job": "job process",
    "fl_app.launchers.site_job": "job process",
}
"""What a process is, by a part of its command line."""


class Peaks(threading.Thread):
    """The highest memory of each part of a federation, in bytes, while the block runs.

    Resident memory, in which memory that processes share counts in part (PSS). It is sampled, so that a
    shorter peak is missed.

    Args:
        roots: root process of each participant.
    """

    def __init__(self, roots: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.found: dict[str, int] = defaultdict(int)
        self._roots = roots
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_SECONDS):
            for name, pid in self._roots.items():
                with contextlib.suppress(psutil.Error):
                    root = psutil.Process(pid)
                    self._sample(name, [root, *root.children(recursive=True)])

    def _sample(self, name: str, processes: list[psutil.Process]) -> None:
        sizes: dict[str, int] = defaultdict(int)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                part = next((part for text, part in _PARTS.items() if text in command), "parent")
                sizes[part] += process.memory_full_info().pss
        for part, size in sizes.items():
            self.found[f"{name}, {part}"] = max(self.found[f"{name}, {part}"], size)

    def __enter__(self) -> Peaks:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

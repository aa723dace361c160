"""The results that a job pod delivers to the volume of its parent, while that volume is full.

NVFlare answers with an error. The job pod then exits with one, and the job fails after its last round.
"""

from __future__ import annotations

import errno
import shutil
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

from nvflare.app_opt.job_launcher import workspace_cell_transfer

USES = {
    "nvflare.app_opt.job_launcher.workspace_cell_transfer:DOWNLOAD_TIMEOUT": (
        "how long a job pod waits until its results are delivered"
    ),
    "nvflare.app_opt.job_launcher.workspace_cell_transfer:WorkspaceTransferManager._handle_publish_results": (
        "unpack the results of a job pod when there is space; it uses ZipFile.extractall"
    ),
}

RETRY_SECONDS = 1.0

Waits = Callable[[str, str], bool]
"""Receives the id of a job whose results cannot be delivered, and why, before each wait; returns whether to
wait."""


def wait_for_delivery(seconds: float) -> None:
    """Let this job pod wait until its parent has unpacked its results (NVFlare: 600 s)."""
    workspace_cell_transfer.DOWNLOAD_TIMEOUT = seconds


def deliver_when_there_is_space(waits: Waits) -> None:
    """Let this parent unpack the results of a job pod as soon as its volume has space for them."""
    archive = partial(_WaitingArchive, waits)
    workspace_cell_transfer.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": archive})


class _WaitingArchive(zipfile.ZipFile):
    """The results of a job, which `extractall` writes to the workspace of the parent."""

    def __init__(self, waits: Waits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits = waits

    def extractall(self, path: Any = None, *arguments: Any, **options: Any) -> None:
        """Unpack all files; wait for space if there is too little."""
        while True:
            try:
                self._require_space(path or ".")
                return super().extractall(path, *arguments, **options)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._is_to_wait(error):
                    raise
            time.sleep(RETRY_SECONDS)

    def _require_space(self, path: Any) -> None:
        free, needed = shutil.disk_usage(path).free, sum(one.file_size for one in self.infolist())
        if free < needed:
            raise OSError(errno.ENOSPC, f"{free / 1e6:.1f} MB are free, they need {needed / 1e6:.1f} MB")

    def _is_to_wait(self, error: OSError) -> bool:
        return self._waits(PurePath(self.namelist()[0]).parts[0], str(error.strerror))

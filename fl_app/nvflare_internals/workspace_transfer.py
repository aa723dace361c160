"""The results that a job pod delivers to the volume of its parent, while that volume is full.

NVFlare answers with an error. The job pod then exits with one, and the job fails after its last round.
"""

from __future__ import annotations

import errno
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nvflare.app_opt.job_launcher import workspace_cell_transfer

USES = {
    "nvflare.app_opt.job_launcher.workspace_cell_transfer:DOWNLOAD_TIMEOUT": (
        "how long a job pod waits until its results are delivered"
    ),
    "nvflare.app_opt.job_launcher.workspace_cell_transfer:WorkspaceTransferManager._handle_publish_results": (
        "unpack the results of a job pod when there is space; it uses ZipFile.extractall, then remove_job"
    ),
}

RETRY_SECONDS = 1.0
DELIVERY_SECONDS = 3600.0
"""How long a job pod waits until its parent has unpacked its results: time for a person to free space, four
times as long as the server waits for the results of a site. A lost reply costs this time, too: the parent
replies once, and sends nothing while it waits. NVFlare's own limit counts if it is longer."""

Waits = Callable[[str, str], bool]
"""Receives the id of a job whose results cannot be delivered, and what is wrong with the volume, before each
wait; returns whether to wait."""


def wait_for_delivery() -> None:
    """Let this job pod wait for DELIVERY_SECONDS until its parent has unpacked its results."""
    nvflare = workspace_cell_transfer.DOWNLOAD_TIMEOUT
    workspace_cell_transfer.DOWNLOAD_TIMEOUT = max(nvflare, DELIVERY_SECONDS)


def deliver_when_there_is_space(records: Mapping[str, Any], waits: Waits) -> None:
    """Let this parent unpack the results of a job pod as soon as its volume has space for them.

    Args:
        records: the transfer record of each job, `WorkspaceTransferManager.jobs`. The delivery of a pod ends
            with an error if its record is removed or replaced while it waits.
        waits: called before each wait.
    """
    archive = partial(_WaitingArchive, records, waits)
    workspace_cell_transfer.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": archive})


class _WaitingArchive(zipfile.ZipFile):
    """The results of a job, which `extractall` writes to the workspace of the parent."""

    def __init__(self, records: Mapping[str, Any], waits: Waits, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._records, self._waits = records, waits

    def extractall(self, path: Any = None, *arguments: Any, **options: Any) -> None:
        """Unpack all files; wait for space if there is too little.

        Raises:
            RuntimeError: the job ended, or its pod was replaced, meanwhile.
        """
        job_id = "".join(self.namelist()[:1]).partition("/")[0]
        record = self._records.get(job_id)
        why = ""
        while record and (why := self._unpack(path, *arguments, **options)) and self._waits(job_id, why):
            time.sleep(RETRY_SECONDS)
            if self._records.get(job_id) is not record:
                break
        # NVFlare removes the job's record next, which must not be that of a new pod.
        if record is None or self._records.get(job_id) is not record:
            raise RuntimeError(f"job {job_id} has ended, or its pod was replaced")
        if why:
            raise OSError(errno.ENOSPC, f"the volume {why}")

    def _unpack(self, path: Any, *arguments: Any, **options: Any) -> str:
        """Unpack all files; return what is wrong with the volume if it has too little space."""
        folder = Path(path or ".")
        free, needed = shutil.disk_usage(folder).free, self._missing_bytes(folder)
        if free < needed:
            return f"has {_size(free)} free, and the results need {_size(needed)}"
        try:
            super().extractall(path, *arguments, **options)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return f"is full ({error.strerror})"
        return ""

    def _missing_bytes(self, folder: Path) -> int:
        """Return the size of the results without what is in place, such as after a failed attempt."""
        files = ((one.file_size, folder / one.filename) for one in self.infolist())
        return sum(max(0, size - (file.stat().st_size if file.is_file() else 0)) for size, file in files)


def _size(size: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{round(size / unit, 1):g} {name}"
    return f"{size} bytes"

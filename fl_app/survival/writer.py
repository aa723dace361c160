"""Write the checkpoints of a job in the background, and make the job wait if the disk is full."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fl_app.survival.checkpoints import Checkpoint, CheckpointStore
from fl_app.survival.resumable import State, UnsupportedStateError

RETRY_SECONDS = 2.0
"""Time between two attempts to write a checkpoint to a full disk."""

_FULL = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger(__name__)


class CheckpointWriter:
    """Write one checkpoint at a time.

    The arrays of a checkpoint are not copied: `wait` before they change.

    Args:
        store: the job's checkpoints.
        run_folder: the job's run folder.
        flush: stores what was logged in the rounds that the checkpoint ends: they are not trained again.
        waits: called with a reason when the job begins to wait for space.
        is_aborted: whether the job was aborted; it then no longer waits.
    """

    def __init__(
        self,
        store: CheckpointStore,
        run_folder: Path,
        flush: Callable[[], object],
        waits: Callable[[str], None],
        is_aborted: Callable[[], bool],
    ) -> None:
        self._store, self._run_folder, self._flush = store, run_folder, flush
        self._waits, self._is_aborted = waits, is_aborted
        self._thread: threading.Thread | None = None
        self._full = ""
        """Why the disk has no space."""
        self._failed = ""

    def submit(self, parts: Mapping[str, State]) -> None:
        """Write a checkpoint, after the one before."""
        self.wait()
        self._thread = threading.Thread(
            target=self._write, args=(dict(parts),), name="checkpoint", daemon=True
        )
        self._thread.start()

    def wait(self) -> None:
        """Wait until the last checkpoint is written; if the disk is full, until there is space."""
        has_told = False
        while self._thread is not None:
            self._thread.join(RETRY_SECONDS / 4)
            if not self._thread.is_alive():
                self._thread = None
            elif self._full and not has_told:
                has_told = True
                self._waits(self._full)

    def _write(self, parts: Mapping[str, State]) -> None:
        while True:
            try:
                self._flush()
                self._store.write(parts, self._run_folder)
            except OSError as error:
                if error.errno not in _FULL:
                    return self.give_up(f"{type(error).__name__}: {error}")
                self._full = str(error)
            except UnsupportedStateError as error:
                return self.give_up(f"a checkpoint cannot hold {error}")
            except Exception as error:  # whatever reading a state raises
                return self.give_up(f"{type(error).__name__}: {error}")
            else:
                self._full = self._failed = ""
                return None
            if self._is_aborted():
                return None
            time.sleep(RETRY_SECONDS)

    def restore_files(self, saved: Checkpoint) -> None:
        """Put the files of a checkpoint back into the run folder; if the disk is full, wait for space.

        Raises:
            OSError: a file cannot be copied, or the disk is full and the job was aborted.
        """
        has_told = False
        while True:
            try:
                return saved.restore_files(self._run_folder)
            except OSError as error:
                if error.errno not in _FULL or self._is_aborted():
                    raise
                if not has_told:
                    has_told = True
                    self._waits(str(error))
            time.sleep(RETRY_SECONDS)

    def give_up(self, reason: str) -> None:
        """Keep the last good checkpoint, and try again after the next round; log a reason once."""
        if reason != self._failed:
            _log.warning("no checkpoint of this round, the last one is kept: %s", reason)
        self._failed = reason

"""Checkpoints are written in the background; a full disk makes the job wait, any other error does not."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fl_app.survival import writer as module
from fl_app.survival.checkpoints import Checkpoint, CheckpointStore, NoSpaceError, folder_of
from fl_app.survival.resumable import State
from fl_app.survival.writer import CheckpointWriter
from tests.waiting import eventually


class Job:
    """A job with a writer whose store fails with the given errors, in order."""

    def __init__(self, folder: Path, errors: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = CheckpointStore(folder_of(folder, "job"))
        self.store.begin()
        self.waits: list[str] = []
        self.is_aborted = False
        self.errors = errors
        write = self.store.write

        def failing(*arguments: Any) -> int:
            if self.errors:
                raise self.errors[0]
            return write(*arguments)

        monkeypatch.setattr(self.store, "write", failing)
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
        self.flushed: list[int] = []
        self.writer = CheckpointWriter(
            self.store, folder, self.flush, self.waits.append, lambda: self.is_aborted
        )

    def flush(self) -> None:
        """Record the number of checkpoints that there were before the values were stored."""
        self.flushed.append(len(list(self.store.folder.glob("*.json"))))

    def round(self) -> None:
        """Save a checkpoint, and wait as a round does before it changes the model."""
        self.writer.submit({"model": State({"w": np.ones(3)})})
        self.writer.wait()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    return lambda *errors: Job(tmp_path, list(errors), monkeypatch)


@pytest.mark.parametrize(
    "error",
    [NoSpaceError(Path("/disk"), 3_000_000, 1_000_000), OSError(errno.ENOSPC, "full")],
    ids=["before", "in"],
)
def test_a_job_on_a_full_disk_waits_says_so_once_and_goes_on_when_there_is_space(
    make: Callable[..., Job], error: OSError
) -> None:
    job = make(error)
    round_ = threading.Thread(target=job.round)
    round_.start()
    eventually(lambda: job.waits, 10, "the job waits")
    time.sleep(0.2)
    assert round_.is_alive()
    assert job.waits == [str(error)]

    job.errors.clear()

    round_.join(10)
    assert not round_.is_alive()
    assert job.store.latest() is not None
    job.round()
    assert len(job.waits) == 1


def test_logged_values_are_stored_before_the_checkpoint_after_which_their_round_is_not_trained_again(
    make: Callable[..., Job],
) -> None:
    job = make()
    job.round()
    job.round()

    assert job.flushed == [0, 1]


def test_an_aborted_job_no_longer_waits_for_space(make: Callable[..., Job]) -> None:
    job = make(OSError(errno.ENOSPC, "full"))
    round_ = threading.Thread(target=job.round)
    round_.start()
    eventually(lambda: job.waits, 10, "the job waits")

    job.is_aborted = True

    round_.join(10)
    assert not round_.is_alive()


def test_any_other_error_costs_this_checkpoint_and_is_logged_once(
    make: Callable[..., Job], caplog: pytest.LogCaptureFixture
) -> None:
    job = make()
    job.round()
    job.errors.append(PermissionError(errno.EACCES, "denied"))

    job.round()
    job.round()

    assert [record.getMessage() for record in caplog.records] == [
        "no checkpoint of this round, the last one is kept: PermissionError: [Errno 13] denied"
    ]
    found = job.store.latest()
    assert found is not None
    assert found.number == 1
    job.errors.clear()
    job.round()
    found = job.store.latest()
    assert found is not None
    assert found.number == 2


def test_a_round_does_not_wait_while_its_checkpoint_is_written(make: Callable[..., Job]) -> None:
    job = make()
    may_end = threading.Event()
    write = job.store.write

    def slow(*arguments: Any) -> int:
        may_end.wait(10)
        return write(*arguments)

    job.store.write = slow  # type: ignore[method-assign]
    job.writer.submit({"model": State({"w": np.ones(3)})})  # returns, and the sites train

    may_end.set()
    job.writer.wait()
    assert job.store.latest() is not None


def test_a_resume_on_a_full_disk_waits_for_space(
    make: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make()
    attempts: list[Path] = []

    def restore(checkpoint: Checkpoint, run_folder: Path) -> None:
        attempts.append(run_folder)
        if len(attempts) < 3:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Checkpoint, "restore_files", restore)

    job.writer.restore_files(Checkpoint(1, {}, {}))

    assert attempts == [tmp_path] * 3
    assert len(job.waits) == 1

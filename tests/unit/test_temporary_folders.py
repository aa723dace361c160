"""Temporary folders of commands, and what commands that were killed have left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fl_app.temporary_folders import keep, temporary_folder

HOLD = """
import sys, tempfile, time
from fl_app.temporary_folders import temporary_folder
tempfile.tempdir = sys.argv[1]
with temporary_folder("flarefleet-admin-") as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has a temporary folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(temporary)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def make_old(*folders: Path) -> None:
    for folder in folders:
        os.utime(folder / ".owner", (time.time() - 3600,) * 2)


def test_a_folder_is_private_and_deleted_at_the_end(temporary: Path) -> None:
    with temporary_folder("flarefleet-job-") as folder:
        (folder / "file").touch()
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_the_folder_of_a_killed_process_is_deleted_by_the_next_command(temporary: Path) -> None:
    killed, left = hold(temporary)
    running, used = hold(temporary)
    try:
        killed.kill()
        killed.wait()
        make_old(left, used)
        with temporary_folder("flarefleet-export-"):
            pass
        assert (left.exists(), used.exists()) == (False, True)
    finally:
        running.kill()
        running.wait()


def test_a_kept_folder_and_those_of_other_programs_remain(temporary: Path) -> None:
    with temporary_folder("flarefleet-simulation-") as kept:
        keep(kept)
    other = temporary / "flarefleet-other"
    other.mkdir()
    make_old(kept)
    with temporary_folder("flarefleet-job-"):
        pass
    assert kept.exists()
    assert other.exists()


def test_a_folder_that_another_process_is_about_to_lock_remains(temporary: Path) -> None:
    new = temporary / "flarefleet-job-new"
    new.mkdir()
    (new / ".owner").touch()
    with temporary_folder("flarefleet-job-"):
        pass
    assert new.exists()


def test_a_folder_beside_results_is_deleted_by_the_next_command_for_the_same_results(tmp_path: Path) -> None:
    left, other = tmp_path / ".probe[1]-abc", tmp_path / ".probe1-abc"
    for folder in (left, other):
        folder.mkdir()
        (folder / ".owner").touch()
    make_old(left, other)
    with temporary_folder(".probe[1]-", tmp_path) as folder:
        assert folder.parent == tmp_path
    assert (left.exists(), other.exists()) == (False, True)

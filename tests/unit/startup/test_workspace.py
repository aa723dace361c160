"""The workspace: writable, with free disk space, and locked by one parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.machine import check_disk_space
from fl_app.startup.workspace import LOCK_FILE, locked_workspace, prepare_workspace


def test_a_new_workspace_is_private(tmp_path: Path) -> None:
    prepare_workspace(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_too_little_disk_space_is_rejected_with_the_free_and_required_space(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=rf"has \d+ MiB free and needs at least {2**40} MiB") as raised:
        check_disk_space(tmp_path, 2**60)

    assert raised.value.exit_code is Exit.SPACE


def test_a_full_device_is_reported_as_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = Mock(side_effect=OSError(28, os.strerror(28)))
    monkeypatch.setattr("tempfile.TemporaryFile", full)  # a real full volume would need a mount

    with pytest.raises(StartupError) as raised:
        prepare_workspace(tmp_path)

    assert raised.value.exit_code is Exit.SPACE


def test_a_workspace_is_locked_until_its_holder_dies(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from fl_app.startup.workspace import locked_workspace\n"
        f"with locked_workspace(Path({str(tmp_path)!r})): print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        refused = pytest.raises(StartupError, match=rf"process {holder.pid}\)")
        with refused as raised, locked_workspace(tmp_path, timeout=0):
            pass
        holder.kill()

    assert raised.value.exit_code is Exit.IN_USE
    with locked_workspace(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())


def test_a_parent_waits_for_a_predecessor_that_is_exiting(tmp_path: Path) -> None:
    program = (
        "import time; from pathlib import Path; from fl_app.startup.workspace import locked_workspace\n"
        f"with locked_workspace(Path({str(tmp_path)!r})): print('locked', flush=True); time.sleep(1)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        with locked_workspace(tmp_path):
            assert holder.wait(1) == 0

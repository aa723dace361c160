"""The workspace: writable, with space, and for one parent alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.workspace import check_room, occupy


def test_a_workspace_is_made_for_this_user_alone(tmp_path: Path) -> None:
    check_room(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_full_workspace_is_refused_with_what_it_has_and_needs(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"has \d+ MiB free and needs") as refusal:
        check_room(tmp_path, minimum_free=2**60)

    assert refusal.value.exit_code is Exit.SPACE


def test_a_device_without_any_space_is_full_and_not_unwritable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(
        "tempfile.TemporaryFile", no_space
    )  # a full volume needs a mount, which tests may not make

    with pytest.raises(StartupError) as refusal:
        check_room(tmp_path)

    assert refusal.value.exit_code is Exit.SPACE


def test_a_workspace_is_taken_until_its_holder_ends(tmp_path: Path) -> None:
    hold = (
        "from pathlib import Path; from fl_app.startup.workspace import occupy; "
        f"occupy(Path({str(tmp_path)!r}));"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold + "print('held', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        with pytest.raises(StartupError, match=rf"process {holder.pid}\)") as refusal:
            occupy(tmp_path)
        holder.kill()

    assert refusal.value.exit_code is Exit.IN_USE
    os.close(occupy(tmp_path))

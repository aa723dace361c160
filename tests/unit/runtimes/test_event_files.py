"""The local copy of event files in a container: only files that have grown are transferred."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import IO

import pytest

from deploy.runtimes.event_files import update_copy


class Container:
    """Runs commands on this machine, and records what they transfer."""

    def __init__(self) -> None:
        self.transferred: list[str] = []

    def run(self, command: list[str]) -> tuple[int | None, IO[bytes]]:
        if command[0] == "tar":
            self.transferred += command[command.index("--") + 1 :]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode, io.BytesIO(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for site in ("site-1", "site-2"):
        file = tmp_path / "container" / "job" / site / "events"
        file.parent.mkdir(parents=True)
        file.write_text("one")
    return tmp_path / "container"


def test_only_files_that_have_grown_are_transferred_again(folder: Path, tmp_path: Path) -> None:
    container, copy = Container(), tmp_path / "run" / "copy"
    assert update_copy(copy, str(folder), container.run) == copy
    assert sorted(container.transferred) == ["job/site-1/events", "job/site-2/events"]

    container.transferred.clear()
    (folder / "job" / "site-2" / "events").write_text("one two")
    for _ in range(2):
        update_copy(copy, str(folder), container.run)

    assert container.transferred == ["job/site-2/events"]
    assert (copy / "job" / "site-1" / "events").read_text() == "one"
    assert (copy / "job" / "site-2" / "events").read_text() == "one two"


def test_deleted_files_disappear_from_the_copy(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    update_copy(copy, str(folder), Container().run)
    (folder / "job" / "site-1" / "events").unlink()

    update_copy(copy, str(folder), Container().run)

    assert [file.parent.name for file in copy.rglob("events")] == ["site-2"]


def test_a_failed_listing_deletes_nothing(folder: Path, tmp_path: Path) -> None:
    copy, container = tmp_path / "copy", Container()
    update_copy(copy, str(folder), container.run)

    def fail_after_the_first_file(command: list[str]) -> tuple[int | None, IO[bytes]]:
        return 1, io.BytesIO(b"3 job/site-1/events\0")

    assert update_copy(copy, str(folder), fail_after_the_first_file) == copy
    assert len(list(copy.rglob("events"))) == 2


def test_a_folder_that_does_not_exist_has_no_copy(tmp_path: Path) -> None:
    assert update_copy(tmp_path / "copy", str(tmp_path / "none"), Container().run) is None


def test_paths_outside_of_the_folder_are_ignored(tmp_path: Path) -> None:
    def run(command: list[str]) -> tuple[int | None, IO[bytes]]:
        assert command[0] == "find"
        return 0, io.BytesIO(b"3 ../../etc/passwd\0")

    assert update_copy(tmp_path / "copy", "/data", run) is None

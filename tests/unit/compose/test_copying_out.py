"""Copying from a volume: only regular files, and only into the target folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from deploy.runtimes.docker.volumes import copy_out


class FakeContainer:
    """A container whose folder has these members."""

    def __init__(self, *members: tarfile.TarInfo) -> None:
        self._stream = io.BytesIO()
        with tarfile.open(fileobj=self._stream, mode="w") as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(b"x" * member.size))

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, Any]]:
        if path != "/data/analytics":
            raise NotFound(path)
        return [self._stream.getvalue()], {}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    found.linkname = link
    found.size = 1 if kind == tarfile.REGTYPE else 0
    return found


def test_a_copy_replaces_the_target_folder(tmp_path: Path) -> None:
    target = tmp_path / "analytics"
    (target / "old").mkdir(parents=True)
    container = FakeContainer(member("analytics", tarfile.DIRTYPE), member("analytics/job", tarfile.DIRTYPE))

    assert copy_out(container, "/data/analytics", target)  # type: ignore[arg-type]

    assert [path.name for path in target.iterdir()] == ["job"]


@pytest.mark.parametrize(
    "planted",
    [
        member("analytics/../../planted"),
        member("/planted"),
        member("analytics/planted", tarfile.SYMTYPE, "/etc/passwd"),
        member("analytics/planted", tarfile.LNKTYPE, "/etc/passwd"),
        member("analytics/planted", tarfile.FIFOTYPE),
    ],
)
def test_links_devices_and_paths_outside_are_not_copied(tmp_path: Path, planted: tarfile.TarInfo) -> None:
    folder = tmp_path / "run" / "docker"
    container = FakeContainer(member("analytics", tarfile.DIRTYPE), planted, member("analytics/events"))

    assert copy_out(container, "/data/analytics", folder / "analytics")  # type: ignore[arg-type]

    assert [path.name for path in (folder / "analytics").iterdir()] == ["events"]
    assert [path.name for path in tmp_path.rglob("*planted*")] == []


def test_a_missing_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()

    assert not copy_out(FakeContainer(), "/data/other", tmp_path / "kept")  # type: ignore[arg-type]

    assert (tmp_path / "kept").is_dir()

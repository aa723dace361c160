"""A folder out of an archive that a container made: nothing in it may lie anywhere else."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO


def unpack(archive: IO[bytes], folder: str, target: Path) -> bool:
    """Put `folder` of an archive to `target`, in place of what is there.

    Returns:
        whether the archive has that folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as beside:
        try:
            with tarfile.open(fileobj=archive) as opened:
                _extract(opened, Path(beside))
        except tarfile.ReadError:  # an empty one
            return False
        if not (Path(beside) / folder).is_dir():
            return False
        shutil.rmtree(target, ignore_errors=True)
        (Path(beside) / folder).rename(target)
    return True


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Plain files and folders alone, and none that would lie elsewhere: a container's user has made them."""
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            continue
        if member.isdir():
            (folder / path).mkdir(parents=True, exist_ok=True)
        elif member.isfile() and (content := archive.extractfile(member)) is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("wb") as file:
                shutil.copyfileobj(content, file)

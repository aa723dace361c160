"""Extract a folder from a tar archive that a container made."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO


def unpack(archive: IO[bytes], folder: str, target: Path) -> bool:
    """Replace `target` with `folder` of the archive.

    Returns:
        Whether the archive has that folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as beside:
        try:
            with tarfile.open(fileobj=archive) as opened:
                _extract(opened, Path(beside))
        except tarfile.ReadError:  # empty
            return False
        if not (Path(beside) / folder).is_dir():
            return False
        shutil.rmtree(target, ignore_errors=True)
        (Path(beside) / folder).rename(target)
    return True


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Extract regular files and folders only, and only below `folder`: the archive is not trusted."""
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

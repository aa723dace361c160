"""Extract archives that containers made. They are not trusted: no file may leave the target folder."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO


def extract(archive: IO[bytes], folder: Path) -> None:
    """Extract only plain files and folders, and none outside of `folder`.

    Raises:
        tarfile.ReadError: the archive is empty or invalid.
    """
    with tarfile.open(fileobj=archive) as opened:
        for member in opened:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                continue
            if member.isdir():
                (folder / path).mkdir(parents=True, exist_ok=True)
            elif member.isfile() and (content := opened.extractfile(member)) is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with (folder / path).open("wb") as file:
                    shutil.copyfileobj(content, file)

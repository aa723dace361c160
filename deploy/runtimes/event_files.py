"""Update a local copy of the event files in a container."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from deploy.runtimes.unpacking import extract

FILES_PER_ARCHIVE = 500


def update_copy(
    copy: Path, folder: str, run: Callable[[list[str]], tuple[int | None, IO[bytes]]]
) -> Path | None:
    """Copy the files that have grown since the last call, and delete those that no longer exist.

    Args:
        copy: the local folder; created if missing.
        folder: the folder in the container.
        run: runs a command in the container; returns its exit status (None: unknown) and its stdout.

    Returns:
        The local folder; None if the folder in the container has no files.
    """
    status, listing = run(["find", folder, "-type", "f", "-printf", "%s %P\\0"])
    files = _sizes(listing.read())
    copy.mkdir(parents=True, exist_ok=True)
    if status == 0:  # after a failure, the list is incomplete
        for file in [file for file in copy.rglob("*") if file.is_file()]:
            if file.relative_to(copy).as_posix() not in files:
                file.unlink()
    sizes = {file: file.stat().st_size for file in copy.rglob("*") if file.is_file()}
    grown = [path for path, size in files.items() if sizes.get(copy / path) != size]
    for first in range(0, len(grown), FILES_PER_ARCHIVE):
        paths = grown[first : first + FILES_PER_ARCHIVE]
        _, archive = run(["tar", "-C", folder, "-cf", "-", "--ignore-failed-read", "--", *paths])
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".copying-") as beside:
            with contextlib.suppress(tarfile.ReadError):  # no output: the files no longer exist
                extract(archive, Path(beside))
            for file in [file for file in Path(beside).rglob("*") if file.is_file()]:
                target = copy / file.relative_to(beside)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target)  # noqa: PTH105
    return copy if files else None


def _sizes(listing: bytes) -> dict[str, int]:
    """Return path -> size, without paths that lead out of the folder."""
    entries = (entry.decode(errors="replace").partition(" ") for entry in listing.split(b"\0") if entry)
    return {path: int(size) for size, _, path in entries if ".." not in PurePosixPath(path).parts}

"""Checkpoints of a job on the server's volume: `<workspace>/checkpoints/<job id>/`.

A checkpoint is a file of arrays (safetensors) and a manifest (JSON) with their checksum and its own, and the
files that belong to the state, each once by its checksum. The manifest is written last. The two newest
checkpoints are kept: one that a kill or a full disk damaged is recognized, and the one before it is used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER, sync_folder, write_atomically
from fl_app.survival.arrays import read_arrays, size_of, write_arrays
from fl_app.survival.checksums import checksum_of, sealed, unsealed
from fl_app.survival.resumable import State, merge, unmerge

FOLDER = "checkpoints"
"""Folder in the server's workspace."""
KEPT = 2
"""Checkpoints of a job that are kept."""
RESERVE_BYTES = 64 * 2**20
"""Free space that a checkpoint leaves on the volume."""
_ARRAYS, _MANIFEST, _FILES = ".safetensors", ".json", "files"
_NEW = ".new"
_CHUNK = 8 * 2**20

_log = logging.getLogger(__name__)


class NoSpaceError(OSError):
    """The volume has too little free space for the checkpoint."""

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        self.needed, self.free = needed, free

    def __str__(self) -> str:
        free, needed = self.free / 1e6, self.needed / 1e6
        return f"{self.filename}: {free:.0f} MB are free, a checkpoint needs {needed:.0f} MB"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a job after a round."""

    number: int
    """Number of the checkpoint, from 1."""
    parts: Mapping[str, State]
    files: Mapping[str, Path]
    """Copies of the files that belong to the state, by their paths in the job's run folder."""

    def restore_files(self, run_folder: Path) -> None:
        """Put the files back into the run folder; those that are still there need no space.

        Raises:
            OSError: a file cannot be copied.
        """
        for name, copy in self.files.items():
            target = run_folder / name
            if target.is_file() and checksum_of(target) == copy.name:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.with_name(f".{target.name}{_NEW}")
            shutil.copyfile(copy, new)
            new.replace(target)


class CheckpointStore:
    """The checkpoints of one job.

    Args:
        folder: folder of the job's checkpoints; `folder_of` names it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copied: dict[Path, tuple[tuple[int, ...], str]] = {}
        """Checksum of each file that was copied, and how the file looked then."""
        self._damaged: set[int] = set()

    def begin(self) -> bool:
        """Create what is missing of the folder; return whether an earlier process of the job did.

        The launcher of job pods creates the folder itself.
        """
        is_new = not (self.folder / _FILES).exists()
        for folder in (self.folder, self.folder / _FILES):
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        return not is_new

    def write(self, parts: Mapping[str, State], run_folder: Path) -> int:
        """Write a checkpoint, remove those that are too old, and return its number.

        Args:
            parts: states by the names of their parts, which contain no slash.
            run_folder: the job's run folder, which the states' files are relative to.

        Raises:
            OSError: it cannot be written (NoSpaceError: for lack of space); the last checkpoint is unchanged.
            UnsupportedStateError: a state has values that a checkpoint cannot hold.
        """
        state = merge(parts)
        arrays, names = state.arrays, sorted({_below(run_folder, name) for name in state.files})
        files = {name: run_folder / name for name in names if (run_folder / name).is_file()}
        new_files = [file for file in files.values() if not self._is_copied(file)]
        self._make_space(size_of(arrays) + sum(file.stat().st_size for file in new_files))
        number = max(self._numbers(), default=0) + 1
        try:
            copies = {name: self._copy(file) for name, file in files.items()}
            manifest = {
                "number": number,
                "parts": state.document,
                "files": copies,
                "arrays": self._write_arrays(self._path(number, _ARRAYS), arrays),
            }
            write_atomically(self._path(number, _MANIFEST), sealed(manifest), PRIVATE_FILE)
        except BaseException:
            self._remove(number)
            raise
        self._prune(KEPT)
        return number

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is not damaged; None if there is none."""
        for number in sorted(self._numbers(), reverse=True):
            try:
                found = self._read(number)
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.warning("checkpoint %d in %s is damaged and not used: %s", number, self.folder, error)
                self._damaged.add(number)
            else:
                self._damaged.discard(number)
                return found
        return None

    def _read(self, number: int) -> Checkpoint:
        manifest = unsealed(self._path(number, _MANIFEST).read_bytes())
        content = self._path(number, _ARRAYS).read_bytes()
        if hashlib.blake2b(content).hexdigest() != manifest["arrays"]:
            raise ValueError("the checksum of its arrays differs")
        files = {name: self.folder / _FILES / checksum for name, checksum in manifest["files"].items()}
        for name, copy in files.items():
            if checksum_of(copy) != copy.name:
                raise ValueError(f"the checksum of its copy of {name} differs")
        return Checkpoint(number, unmerge(State(read_arrays(content), manifest["parts"])), files)

    def _numbers(self) -> list[int]:
        found = [file.stem for file in self.folder.glob(f"*{_MANIFEST}")]
        return [int(name) for name in found if name.isdigit()]

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:08}{suffix}"

    def _write_arrays(self, file: Path, arrays: Mapping[str, Any]) -> str:
        """Write the arrays durably, and return their checksum."""
        checksum = hashlib.blake2b()
        with _new_file(file) as out:
            write_arrays(out, arrays, checksum.update)
        return checksum.hexdigest()

    def _is_copied(self, file: Path) -> bool:
        looked, checksum = self._copied.get(file, ((), ""))
        return looked == _look(file) and (self.folder / _FILES / checksum).is_file()

    def _copy(self, file: Path) -> str:
        """Copy a file unless it is as it was at its last copy; return its checksum.

        Raises:
            OSError: it cannot be copied, or it changed meanwhile.
        """
        if self._is_copied(file):
            return self._copied[file][1]
        before, checksum = _look(file), checksum_of(file)
        target = self.folder / _FILES / checksum
        if not target.is_file():
            with file.open("rb") as source, _new_file(target) as out:
                shutil.copyfileobj(source, out, _CHUNK)
        if _look(file) != before:
            raise OSError(errno.EBUSY, "changed while it was copied", str(file))
        self._copied[file] = before, checksum
        return checksum

    def _make_space(self, size: int) -> None:
        """Remove all checkpoints but the newest if the volume is too full; refuse if it still is."""
        for kept in (KEPT, 1):
            self._prune(kept)
            free = shutil.disk_usage(self.folder).free
            if free >= size + RESERVE_BYTES:
                return
        raise NoSpaceError(self.folder, size + RESERVE_BYTES, free)

    def _prune(self, kept: int) -> None:
        """Remove all but the newest checkpoints that can be used, and what none of them needs."""
        numbers = sorted(set(self._numbers()) - self._damaged, reverse=True)
        for number in (*self._damaged, *numbers[kept:]):
            self._remove(number)
        needed = {f"{number:08}" for number in numbers[:kept]}
        for number in numbers[:kept]:
            with contextlib.suppress(OSError, ValueError, KeyError):
                needed |= set(unsealed(self._path(number, _MANIFEST).read_bytes())["files"].values())
        for file in (*self.folder.glob("*.*"), *(self.folder / _FILES).glob("*")):
            if file.name.partition(".")[0] not in needed and file.is_file():
                file.unlink(missing_ok=True)

    def _remove(self, number: int) -> None:
        for suffix in (_MANIFEST, _ARRAYS):
            self._path(number, suffix).unlink(missing_ok=True)


def folder_of(workspace: Path, job_id: str) -> Path:
    """Return the folder of a job's checkpoints.

    Raises:
        ValueError: the id is not the name of a folder.
    """
    if not job_id or "/" in job_id or job_id.startswith("."):
        raise ValueError(f"not the id of a job: {job_id!r}")
    return workspace / FOLDER / job_id


def documents_of(workspace: Path, job_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON of each checkpoint of a job by part, without those whose manifest is damaged."""
    for manifest in folder_of(workspace, job_id).glob(f"*{_MANIFEST}"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            yield unsealed(manifest.read_bytes())["parts"]


def forget(workspace: Path, job_id: str) -> None:
    """Remove the checkpoints of a job that has ended; the server's parent calls it. Never raises OSError."""
    shutil.rmtree(folder_of(workspace, job_id), ignore_errors=True)


def sweep(workspace: Path, unfinished: Collection[str]) -> None:
    """Remove the checkpoints of all other jobs; the server's parent calls it when it starts.

    Args:
        workspace: the server's workspace.
        unfinished: ids of the jobs that run or wait.
    """
    with contextlib.suppress(FileNotFoundError):
        for folder in (workspace / FOLDER).iterdir():
            if folder.is_dir() and folder.name not in unfinished and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _new_file(file: Path) -> Iterator[Any]:
    """Write a private file beside its place, and put it there when it is durable."""
    new = file.with_name(f"{file.name}{_NEW}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with open(descriptor, "wb") as out:  # noqa: PTH123 - a descriptor
            yield out
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def _below(folder: Path, name: str) -> str:
    """Return the path of a file below the folder."""
    file = folder / name
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _look(file: Path) -> tuple[int, ...]:
    about = file.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns

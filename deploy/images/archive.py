"""Save images to one file for sites without a registry, and load them again after a check of their checksums.

The file is what `docker save` writes, so `docker load --input FILE` accepts it. It also contains:
`images.json` (the list of images), `flarefleet.cdx.json` (the bill of materials) and `SHA256SUMS` (the
checksum of every file). To check it without Flarefleet: tar xf FILE && sha256sum --check SHA256SUMS.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import docker
from docker.errors import APIError, ImageLoadError
from filelock import FileLock, Timeout

from deploy.docker_engine import docker_environment
from deploy.errors import Failed, FlarefleetError, InputError, MachineError
from deploy.images.buildkit import DISK_FULL, find_docker
from deploy.images.checksum import CHUNK, sha256_of_stream
from deploy.images.inventory import ImageRecord
from deploy.images.sbom import read_sbom
from fl_app.files import sync_folder

LIST, SBOM, SUMS = "images.json", "flarefleet.cdx.json", "SHA256SUMS"
FORMAT = 2

ArchiveProgress = Callable[[str, int, int], None]
"""Called with the current step, the bytes done, and the bytes in total (0: unknown)."""


def save_images(
    client: docker.DockerClient,
    images: Sequence[ImageRecord],
    file: Path,
    progress: ArchiveProgress | None = None,
) -> None:
    """Write `images` to one archive. `file` is complete or is not written.

    Raises:
        Failed: an image is missing on this engine, or docker cannot save it.
        MachineError: the file cannot be written.
    """
    refuse_missing(images)
    tell = progress or (lambda _what, _done, _of: None)
    document = {"format": FORMAT, "images": [image.model_dump(mode="json") for image in images]}
    with _replacing(file) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sums = _add_docker_archive(tar, [image.name for image in images], tell)
        sums[LIST] = _add(tar, LIST, json.dumps(document, indent=1).encode() + b"\n")
        sums[SBOM] = _add(tar, SBOM, read_sbom(client, images[0].name))
        _add(tar, SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())


def load_images(
    client: docker.DockerClient, file: Path, progress: ArchiveProgress | None = None
) -> list[str]:
    """Check an archive, load its images and return their names. A damaged archive is not loaded at all.

    Raises:
        InputError: the file is not an archive of images, or it is damaged.
        Failed: the engine rejects it.
        MachineError: the file cannot be read, or the engine's disk is full.
    """
    tell = progress or (lambda _what, _done, _of: None)
    try:
        names = _check(file, tell)
        with file.open("rb") as content:
            client.images.load(_counted(content, file.stat().st_size, "loading", tell))
    except tarfile.TarError as error:
        raise _damaged(file, f"it is not a complete tar archive ({error})") from error
    except (APIError, ImageLoadError) as error:
        raise engine_error("The engine did not load the images", str(error)) from error
    except OSError as error:
        raise MachineError(f"{file} cannot be read: {error.strerror or error}") from error
    return names


def refuse_missing(images: Sequence[ImageRecord]) -> None:
    """Raise Failed if an image is missing on this engine."""
    if missing := [image.name for image in images if not image.present]:
        raise Failed(f"This engine does not have {', '.join(missing)}. Build: flarefleet images build")


def engine_error(what: str, message: str) -> FlarefleetError:
    """Return the error of an engine as one to raise: a MachineError if its disk is full, otherwise Failed."""
    if DISK_FULL in message.lower():
        return MachineError(f"{what}: its disk is full. Free space, for example with docker system prune.")
    return Failed(f"{what}: {message}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> str:
    """Add a small file and return its SHA-256."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _add_docker_archive(tar: tarfile.TarFile, names: Sequence[str], tell: ArchiveProgress) -> dict[str, str]:
    """Add every file that `docker save` writes, and return the SHA-256 of each."""
    command = [find_docker(), "save", *names]
    sums, incomplete = {}, ""
    with subprocess.Popen(
        command, env=docker_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        stream = _counted(process.stdout, 0, "saving", tell)
        try:
            with tarfile.open(fileobj=stream, mode="r|") as saved:
                for member in saved:
                    content = saved.extractfile(member) if member.isreg() else None
                    if content is None:
                        tar.addfile(member)
                        continue
                    digest = hashlib.sha256()
                    tar.addfile(member, cast("IO[bytes]", _Observed(content, digest.update)))
                    sums[member.name] = digest.hexdigest()
            for _ in stream:  # a closed pipe before the end would make docker fail
                pass
        except tarfile.TarError as error:
            sums = {}
            incomplete = str(error)
        message = process.stderr.read().decode(errors="replace").strip()
    if process.returncode != 0 or not sums:
        raise Failed(f"docker could not save the images: {message or incomplete}")
    return sums


@contextmanager
def _replacing(file: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that replaces `file` at the end, or is deleted after an error.

    An archive is too large for `write_atomically`, which needs the whole content.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _delete_leftovers(file)
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with FileLock(temporary), temporary.open("r+b") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
                umask = os.umask(0)
                os.umask(umask)
                temporary.chmod(0o666 & ~umask)
                temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)
    except OSError as error:
        raise MachineError(f"{file} cannot be written: {error.strerror or error}") from error


def _delete_leftovers(file: Path) -> None:
    """Delete temporary files of killed commands. A running command holds the lock of its file."""
    for leftover in file.parent.glob(f"{glob.escape(f'.{file.name}.')}*"):
        try:
            with FileLock(leftover, blocking=False):
                leftover.unlink()
        except (OSError, Timeout):
            continue


def _check(file: Path, tell: ArchiveProgress) -> list[str]:
    """Compare every file of the archive with its checksum, and return the names of the images."""
    found, documents = {}, {}
    with (
        file.open("rb") as raw,
        tarfile.open(fileobj=_counted(raw, file.stat().st_size, "checking", tell), mode="r|") as tar,
    ):
        for member in tar:
            if content := tar.extractfile(member) if member.isreg() else None:
                if member.name in (LIST, SUMS):
                    documents[member.name] = content.read()
                    content = io.BytesIO(documents[member.name])
                found[member.name] = sha256_of_stream(content)
    if not {LIST, SBOM, SUMS} <= found.keys():
        raise _damaged(file, "it was not written by `flarefleet images save`, or is incomplete")
    del found[SUMS]
    lines = documents[SUMS].decode("ascii", errors="replace").splitlines()
    expected = dict(line.split()[::-1] for line in lines if len(line.split()) == 2)
    if wrong := sorted(
        name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    ):
        raise _damaged(file, f"the checksum of {wrong[0]} does not match")
    try:
        document = json.loads(documents[LIST])
        if document["format"] != FORMAT:
            raise InputError(
                f"{file} has format {document['format']}, but this Flarefleet reads format "
                f"{FORMAT}. Save the images again."
            )
        return [str(image["name"]) for image in document["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, f"{LIST} is invalid") from error


def _damaged(file: Path, why: str) -> InputError:
    return InputError(f"{file} was not loaded: {why}. Copy it again from its source.")


def _counted(file: IO[bytes], size: int, what: str, tell: ArchiveProgress) -> IO[bytes]:
    """Return a file that reports how many bytes were read."""
    done = 0

    def count(content: bytes) -> None:
        nonlocal done
        done += len(content)
        tell(what, done, size)

    return cast("IO[bytes]", _Observed(file, count))


class _Observed:
    """A file that passes on everything that is read from it."""

    def __init__(self, file: IO[bytes], on_read: Callable[[bytes], None]) -> None:
        self._file = file
        self._on_read = on_read

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size)
        self._on_read(content)
        return content

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(CHUNK), b"")

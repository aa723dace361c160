"""Images as one file, for sites that reach no registry: saved with checksums, checked before they are loaded.

The file is a tar archive of `images.json` (what is in it), `flarefleet.cdx.json` (the bill of materials),
`images.tar` (what `docker load` reads) and `SHA256SUMS`. It can be opened without Flarefleet: tar xf FILE &&
sha256sum -c SHA256SUMS && docker load -i images.tar.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import docker
from docker.errors import APIError, ImageLoadError

from deploy.errors import Failed, FlarefleetError, InputError, MachineError
from deploy.images.buildkit import DISK_FULL, environment, find_docker
from deploy.images.checksum import chunks_of, sha256_of_stream
from deploy.images.inventory import ImageRecord
from deploy.images.sbom import read_sbom

LIST, SBOM, IMAGES, SUMS = "images.json", "flarefleet.cdx.json", "images.tar", "SHA256SUMS"
FORMAT = 1

Passed = Callable[[str, int, int], None]
"""Called with what is being done, how many bytes of it are done, and of how many (0: not known)."""


def save_images(
    client: docker.DockerClient, images: Sequence[ImageRecord], file: Path, progress: Passed | None = None
) -> None:
    """Write `images` into one archive; `file` is there at the end or not at all.

    Raises:
        Failed: an image is not on this engine, or docker could not save it.
        MachineError: the file cannot be written.
    """
    if missing := [image.name for image in images if not image.present]:
        raise Failed(f"Not on this engine: {', '.join(missing)}. Build them: flarefleet images build")
    tell = progress or (lambda _what, _done, _of: None)
    with _beside(file) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        documents = {LIST: _list_document(images), SBOM: read_sbom(client, images[0].name)}
        sums = {name: _add(tar, name, content) for name, content in documents.items()}
        sums[IMAGES] = _add_docker_archive(tar, out, [image.name for image in images], tell)
        _add(tar, SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())


def load_images(client: docker.DockerClient, file: Path, progress: Passed | None = None) -> list[str]:
    """Check an archive and load its images; their names. A damaged one is refused before anything is loaded.

    Raises:
        InputError: the file is not such an archive, or is damaged.
        Failed: the engine refuses it.
        MachineError: the file cannot be read, or the engine's disk is full.
    """
    tell = progress or (lambda _what, _done, _of: None)
    try:
        with tarfile.open(file, mode="r:") as tar:
            names = _check(tar, file, tell)
            _load(client, tar, tell)
    except tarfile.TarError as error:
        raise _damaged(file, f"it is not a tar archive to its end ({error})") from error
    except OSError as error:
        raise MachineError(f"{file} cannot be read: {error.strerror or error}") from error
    return names


def _list_document(images: Sequence[ImageRecord]) -> bytes:
    document = {"format": FORMAT, "images": [image.model_dump(mode="json") for image in images]}
    return json.dumps(document, indent=1).encode() + b"\n"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> str:
    """Add a small file; its SHA-256."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _add_docker_archive(tar: tarfile.TarFile, out: IO[bytes], names: Sequence[str], tell: Passed) -> str:
    """Add what `docker save` writes; its SHA-256. Only the end tells its size: the header is written last."""
    header = tarfile.TarInfo(IMAGES)
    start = tar.offset
    out.seek(start + tarfile.BLOCKSIZE)
    digest, size = hashlib.sha256(), 0
    with subprocess.Popen(
        [find_docker(), "save", *names], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for chunk in chunks_of(process.stdout):
            out.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            tell("saving", size, 0)
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise Failed(f"docker could not save the images: {said}")
    out.write(b"\0" * (-size % tarfile.BLOCKSIZE))
    end = out.tell()
    header.size = size
    out.seek(start)
    out.write(header.tobuf(format=tarfile.GNU_FORMAT))
    out.seek(end)
    tar.offset = end
    return digest.hexdigest()


@contextmanager
def _beside(file: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `file` when all went well, and goes when not."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{file.name}."
        _remove_what_a_killed_one_left(file.parent, prefix)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=prefix)
        try:
            with open(descriptor, "wb") as out:  # noqa: PTH123
                fcntl.flock(out, fcntl.LOCK_EX)
                yield out
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise MachineError(f"{file} cannot be written: {error.strerror or error}") from error


def _remove_what_a_killed_one_left(folder: Path, prefix: str) -> None:
    """Gigabytes that nobody would look for. What another command writes now is locked by it, and stays."""
    for left in folder.glob(f"{glob.escape(prefix)}*"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _check(tar: tarfile.TarFile, file: Path, tell: Passed) -> list[str]:
    """Compare each file of the archive with its checksum; the names of the images."""
    members = {member.name: member for member in tar if member.isfile()}
    if set(members) != {LIST, SBOM, IMAGES, SUMS}:
        raise _damaged(
            file, f"it must hold {LIST}, {SBOM}, {IMAGES} and {SUMS}; write it with: flarefleet images save"
        )
    sums = _sums(_content(tar, SUMS), file)
    for name in (LIST, SBOM, IMAGES):
        inner = tar.extractfile(members[name])
        assert inner is not None
        if sha256_of_stream(_Counted(inner, members[name].size, "checking", tell)) != sums.get(name):
            raise _damaged(file, f"the checksum of {name} does not fit")
    try:
        document = json.loads(_content(tar, LIST))
        if document["format"] != FORMAT:
            raise InputError(f"{file} has format {document['format']}; this Flarefleet reads format {FORMAT}")
        return [str(image["name"]) for image in document["images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(file, f"{LIST} cannot be read") from error


def _sums(content: bytes, file: Path) -> dict[str, str]:
    lines = [line.split() for line in content.decode("ascii", errors="replace").splitlines()]
    if any(len(line) != 2 for line in lines):
        raise _damaged(file, f"{SUMS} cannot be read")
    return {name: digest for digest, name in lines}


def _load(client: docker.DockerClient, tar: tarfile.TarFile, tell: Passed) -> None:
    inner = tar.extractfile(IMAGES)
    assert inner is not None
    try:
        client.images.load(_Counted(inner, tar.getmember(IMAGES).size, "loading", tell))
    except (APIError, ImageLoadError) as error:
        raise engine_error("The engine did not load the images", str(error)) from error


def engine_error(what: str, said: str) -> FlarefleetError:
    """An error of the engine in words; a full disk is this machine's lack."""
    if DISK_FULL in said.lower():
        return MachineError(f"{what}: its disk is full. Free some, for example with docker system prune.")
    return Failed(f"{what}: {said}")


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    inner = tar.extractfile(name)
    assert inner is not None
    return inner.read()


def _damaged(file: Path, why: str) -> InputError:
    return InputError(f"{file} was not loaded: {why}. Copy it again from where it was saved.")


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, file: IO[bytes], size: int, what: str, tell: Passed) -> None:
        self._file = file
        self._size = size
        self._what = what
        self._tell = tell
        self._done = 0

    def read(self, size: int = -1, /) -> bytes:
        """As of every file."""
        content = self._file.read(size)
        self._done += len(content)
        self._tell(self._what, self._done, self._size)
        return content

    def __iter__(self) -> Iterator[bytes]:
        return chunks_of(self)

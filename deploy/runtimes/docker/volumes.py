"""What lies in an engine's volumes, reached through the engine: no right on the host is needed for it."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

SPOOL_BYTES = 64 * 2**20


@contextmanager
def carrier(
    client: docker.DockerClient, volume: str, path: str, image: str, labels: Mapping[str, str]
) -> Iterator[Container]:
    """A container with that volume at `path`, never started: an engine opens volumes only through one.

    Args:
        client: the engine.
        volume: the volume's name.
        path: where the container has it.
        image: any image that the engine has; nothing of it runs.
        labels: what the container is marked with, should it be left behind.
    """
    container = client.containers.create(
        image,
        network_mode="none",
        read_only=True,
        volumes={volume: {"bind": path, "mode": "rw"}},
        labels=dict(labels),
    )
    try:
        yield container
    finally:
        container.remove()


def copy_out(container: Container, path: str, target: Path) -> bool:
    """Copy the folder `path` of a container to `target`, in place of what is there.

    Returns:
        whether there is such a folder in the container.
    """
    from docker.errors import NotFound

    try:
        chunks, _ = container.get_archive(path)
    except NotFound:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as beside,
    ):
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            _unpack(archive, Path(beside))
        shutil.rmtree(target, ignore_errors=True)
        (Path(beside) / Path(path).name).rename(target)
    return True


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Plain files and folders alone, and none that would lie elsewhere: a container's user has made them."""
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            continue
        if member.isdir():
            (folder / path).mkdir(parents=True, exist_ok=True)
        elif member.isfile() and (content := archive.extractfile(member)) is not None:
            with (folder / path).open("wb") as file:
                shutil.copyfileobj(content, file)

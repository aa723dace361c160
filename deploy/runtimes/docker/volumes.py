"""Read and write volumes through the engine, without access to the host's file system."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deploy.runtimes.unpacking import extract

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

SPOOL_BYTES = 64 * 2**20


@contextmanager
def volume_container(
    client: docker.DockerClient, volume: str, path: str, image: str, labels: Mapping[str, str]
) -> Iterator[Container]:
    """Create a container with a volume, yield it and remove it; it is never started.

    Args:
        image: any image of the engine; it is not run.
        labels: labels of the container, by which `down` finds it after a kill.
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
    """Replace `target` with the folder `path` of a container.

    Returns:
        Whether the container has that folder.
    """
    from docker.errors import NotFound

    try:
        chunks, _ = container.get_archive(path)
    except NotFound:
        return False
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as beside:
            try:
                extract(spool, Path(beside))
            except tarfile.ReadError:  # empty or cut off
                return False
            folder = Path(beside) / Path(path).name
            if found := folder.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                folder.rename(target)
    return found


def output_of(container: Container, command: list[str]) -> tuple[int | None, IO[bytes]]:
    """Return the exit status and the stdout of a command in a running container."""
    status, output = container.exec_run(command, stderr=False)
    assert isinstance(output, bytes)  # it is not streamed
    return status, io.BytesIO(output)

"""What lies in an engine's volumes, reached through the engine: no right on the host is needed for it."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from deploy.runtimes.unpacking import unpack

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
    with tempfile.SpooledTemporaryFile(SPOOL_BYTES) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        return unpack(spool, Path(path).name, target)


def output_of(container: Container, command: list[str]) -> IO[bytes]:
    """Return the stdout of a command in a running container."""
    output = container.exec_run(command, stderr=False).output
    assert isinstance(output, bytes)  # it is not streamed
    return io.BytesIO(output)

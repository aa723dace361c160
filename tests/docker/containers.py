"""Containers with the settings of the kit: hardened, with a mounted key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 512,
    "tmpfs": {"/tmp": ""},
}


def python_inside(client: docker.DockerClient, image: str, program: str) -> str:
    """Run a Python program in a hardened container without network, and return its output."""
    command = ["-c", program]
    output: bytes = client.containers.run(
        image, command, entrypoint=["python"], network_mode="none", remove=True, **HARDENED
    )
    return output.decode()


@contextmanager
def parent(
    client: docker.DockerClient, image: str, key: Path | None = None, **options: Any
) -> Iterator[Container]:
    """Start a server or site in a hardened container with a new volume for its workspace."""
    volume = client.volumes.create()
    binds = [f"{volume.name}:/var/lib/flare", *([f"{key}:/run/secrets/flare:ro"] if key else [])]
    container = client.containers.run(image, detach=True, volumes=binds, **HARDENED, **options)
    try:
        yield container
    finally:
        container.remove(force=True)
        volume.remove()


def key_folder(kit: Path, folder: Path) -> Path:
    """Make a folder with the private key of `kit` that the container's user can read."""
    folder.mkdir(mode=0o755)
    for key in (kit / "startup").glob("*.key"):
        shutil.copyfile(key, folder / key.name)
        (folder / key.name).chmod(0o444)
    return folder

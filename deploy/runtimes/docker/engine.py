"""The Docker engine of this machine: the one that DOCKER_HOST or Docker's current context names."""

from __future__ import annotations

import docker
from docker.errors import DockerException

from deploy.errors import MachineError


def connect() -> docker.DockerClient:
    """A client of an engine that answers.

    Raises:
        MachineError: none does.
    """
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise MachineError(
            f"No Docker engine answers ({_reason(error)}). Start it, or name another one in DOCKER_HOST; "
            "--runtime process needs none."
        ) from error
    return client


def _reason(error: DockerException) -> str:
    """The innermost reason in plain words; the SDK wraps it three times."""
    text = str(error)
    for known in ("Permission denied", "No such file or directory", "Connection refused"):
        if known in text:
            return known.lower()
    return text.splitlines()[0][:200]

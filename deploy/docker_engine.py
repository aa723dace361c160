"""Find this machine's Docker engine: the one that DOCKER_HOST or the current Docker context names."""

from __future__ import annotations

import os

import docker
from docker.context import ContextAPI
from docker.errors import DockerException

from deploy.errors import MachineError


def connect() -> docker.DockerClient:
    """Return a client of the Docker engine.

    Raises:
        MachineError: the engine does not answer.
    """
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise MachineError(
            f"No Docker engine answers ({_reason(error)}). Start Docker, or set DOCKER_HOST to another "
            "engine. --runtime process needs no engine."
        ) from error
    return client


def docker_environment() -> dict[str, str]:
    """Return the environment variables with which the docker program uses the same engine as `connect`."""
    environment = dict(os.environ)
    if not environment.get("DOCKER_HOST"):
        context = ContextAPI.get_context(environment.get("DOCKER_CONTEXT"))
        environment["DOCKER_CONTEXT"] = context.Name if context else "default"
    return environment


def _reason(error: DockerException) -> str:
    """Return the innermost reason, which the SDK wraps three times."""
    text = str(error)
    for known in ("Permission denied", "No such file or directory", "Connection refused"):
        if known in text:
            return known.lower()
    return text.splitlines()[0][:200]

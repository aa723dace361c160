"""Find this machine's Docker engine: the one that DOCKER_HOST or the current Docker context names."""

from __future__ import annotations

import os

import docker
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.errors import DockerException

from deploy.errors import MachineError


def connect(alternative: str = "") -> docker.DockerClient:
    """Return a client of the Docker engine.

    Args:
        alternative: what the user can do without an engine, for the message of the error.

    Raises:
        MachineError: the engine does not answer, or the Docker context does not exist.
    """
    if not os.environ.get("DOCKER_HOST"):
        _current_context()  # the SDK would use the default engine instead of a context that does not exist
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        text = str(error)  # the SDK wraps the reason three times
        known = ("Permission denied", "No such file or directory", "Connection refused")
        reason = next((one.lower() for one in known if one in text), text.splitlines()[0][:200])
        raise MachineError(
            f"No Docker engine answers ({reason}). Start Docker, or set DOCKER_HOST to another engine. "
            f"{alternative}".rstrip()
        ) from error
    return client


def docker_environment() -> dict[str, str]:
    """Return the environment variables with which the docker program uses the same engine as `connect`.

    Raises:
        MachineError: the Docker context does not exist.
    """
    environment = dict(os.environ)
    if not environment.get("DOCKER_HOST"):
        environment["DOCKER_CONTEXT"] = _current_context()
    return environment


def _current_context() -> str:
    name = str(os.environ.get("DOCKER_CONTEXT") or get_current_context_name() or "default")
    try:
        found, reason = ContextAPI.get_context(name), "it does not exist"
    except Exception as error:  # the SDK raises Exception itself if meta.json is invalid
        found, reason = None, str(error)
    if found is None:
        raise MachineError(
            f"The Docker context {name} cannot be used ({reason}). Choose another: docker context use NAME"
        )
    return name

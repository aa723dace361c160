"""Runtime `docker`: a federation of containers, described by a compose file."""

from deploy.runtimes.docker.runtime import DockerRuntime

__all__ = ["DockerRuntime"]

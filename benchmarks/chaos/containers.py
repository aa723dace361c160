"""A federation of containers on this machine's Docker engine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import docker
import psutil
from docker.errors import ImageNotFound

from benchmarks.chaos.host import DISK_MIB, OnThisMachine
from benchmarks.chaos.kills import SERVER, Fault
from benchmarks.project import NAME, write_project
from deploy.images.names import site_image
from deploy.ports import free_ports
from deploy.project.object_names import compose_name
from deploy.runtimes.docker.runtime import DockerRuntime
from fl_app.contract import CONTAINER_UID


class Containers(OnThisMachine):
    """Containers; the engine must run on this machine, and the harness as root."""

    runtime: DockerRuntime

    def write_project(self) -> None:
        """Write project.yml."""
        server = {"name": SERVER, "fed_learn_port": free_ports(1)[0], "default_host": "localhost"}
        write_project(self.folder, server, self.sites, scheme="http", **self.deployment())

    def open_runtime(self) -> DockerRuntime:
        """Return the runtime."""
        return DockerRuntime(self.project, self.workspace)

    def mount(self, name: str) -> None:
        """Put the workspace of a server or site on a small volume."""
        project, volume = compose_name(NAME), f"{name}-workspace"
        owner = f"uid={CONTAINER_UID},gid={CONTAINER_UID}"
        docker.from_env().volumes.create(
            f"{project}_{volume}",
            driver_opts={"type": "tmpfs", "device": "tmpfs", "o": f"size={DISK_MIB}m,{owner}"},
            labels={
                **self.runtime.labels,
                "com.docker.compose.project": project,
                "com.docker.compose.volume": volume,
            },
        )

    def prepare(self, fault: Fault, name: str) -> Callable[[], object]:
        """Return what begins a fault: to stop a container, `docker stop` with the grace period of its own."""
        return self._container(name).stop if fault is Fault.TERMINATE else super().prepare(fault, name)

    def first_process(self, name: str) -> psutil.Process:
        """Return process 1 of a container."""
        pid = self._container(name).attrs["State"]["Pid"]
        if not pid:
            raise RuntimeError(f"the container of {name} is not running")
        return psutil.Process(pid)

    def close(self) -> None:
        """Remove volumes and images."""
        self.runtime.forget()
        client = docker.from_env()
        for name in self.parts:
            with suppress(ImageNotFound):
                client.images.remove(site_image(self.project, name))

    def _container(self, name: str) -> docker.models.containers.Container:
        where = next(site.where for site in self.runtime.status().sites if site.name == name)
        return docker.from_env().containers.get(where.split()[-1])

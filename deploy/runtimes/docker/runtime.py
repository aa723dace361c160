"""Run a federation as containers, one for the server and one for each site."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from deploy.docker_engine import connect
from deploy.errors import Failed
from deploy.hosts import LOOPBACK, local_server_host
from deploy.project.object_names import compose_name
from deploy.release import compose
from deploy.runtimes.admin_kit import kit_for_host
from deploy.runtimes.docker import keys
from deploy.runtimes.docker.checks import CHECKS, Filters, published_ports
from deploy.runtimes.docker.observation import observe, tail
from deploy.runtimes.docker.program import find_compose
from deploy.runtimes.docker.volumes import copy_out, output_of, volume_container
from deploy.runtimes.event_files import update_copy
from deploy.runtimes.follow import lines_of
from deploy.runtimes.protocol import (
    WHOLE_LOG,
    FederationStatus,
    LogPart,
    SiteState,
    SiteStatus,
    StatusCallback,
)
from deploy.runtimes.readiness import wait_until_ready
from deploy.runtimes.records import locked, read, write
from deploy.runtimes.telemetry_status import as_server_sees, with_restarts
from fl_app.checks.check import require
from fl_app.contract import ANALYTICS_FOLDER, LABEL_SITE, WORKSPACE_PATH
from fl_app.files import write_atomically

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

    from deploy.project import Project
    from deploy.workspace import Workspace

POLL_SECONDS = 0.5


class StoppedNames(BaseModel, frozen=True):
    """The server and sites that were stopped on purpose, while the others run."""

    names: tuple[str, ...]


class DockerRuntime:
    """A federation in containers. It implements `deploy.runtimes.protocol.Runtime`.

    `gpus` is the number of GPUs of each site; it overrides project.yml.
    """

    name = "docker"

    def __init__(self, project: Project, workspace: Workspace, gpus: int | None = None) -> None:
        self.project = project
        self.workspace = workspace
        self.gpus = gpus
        self.folder = workspace.run(self.name)
        self.file = self.folder / "compose.yaml"
        self._stopped_file = self.folder / "stopped.json"
        self.labels = {compose.LABEL_PROJECT: project.name, compose.LABEL_WORKSPACE: str(workspace.root)}

    @cached_property
    def client(self) -> docker.DockerClient:
        """Docker's client of this machine's engine."""
        return connect("Without an engine: flarefleet up --runtime process")

    def up(
        self, progress: StatusCallback | None = None, timeout: float = 60.0, only: Sequence[str] = ()
    ) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.up`."""
        from deploy.images.build import ensure_site_images

        with locked(self.folder / ".lock"):
            require(CHECKS, self)
            program = find_compose()
            images = ensure_site_images(self.client, self.project, self.workspace)
            private_keys = self._private_keys()
            for name, key in private_keys.items():
                keys.write_key_volume(self.client, key, images[name], self.labels)
            text = compose.federation_file(
                self.project,
                images=images,
                key_volumes={name: key.volume for name, key in private_keys.items()},
                workspace=self.workspace.root,
                gpus=self.gpus,
            )
            write_atomically(self.file, text.encode())
            self._write_stopped(self._stopped() - {*only} if only else ())
            if only:
                program.run(self.file, "up", "--detach", "--no-deps", *only)
            else:
                program.run(self.file, "up", "--detach", "--remove-orphans")
                self._remove_key_volumes(keep={key.volume for key in private_keys.values()})
        return wait_until_ready(self.status, self._log_end, progress, timeout, POLL_SECONDS, only=only)

    def down(self) -> None:
        """See `deploy.runtimes.protocol.Runtime.down`."""
        with locked(self.folder / ".lock"):
            self._stop()

    def stop(self, names: Sequence[str]) -> None:
        """See `deploy.runtimes.protocol.Runtime.stop`. The containers stay, with their logs."""
        with locked(self.folder / ".lock"):
            if self.file.exists():
                self._write_stopped(self._stopped() | {*names})
                find_compose().run(self.file, "stop", *names)

    def forget(self) -> None:
        """See `deploy.runtimes.protocol.KeepsVolumes.forget`."""
        with locked(self.folder / ".lock"):
            self._stop()
            for volume in self.client.volumes.list(filters=self._filters()):
                volume.remove()

    def status(self) -> FederationStatus:
        """See `deploy.runtimes.protocol.Runtime.status`."""
        stopped = self._stopped()
        observed = (observe(container) for container in self.containers(LABEL_SITE))
        found = {site.name: site.stopped() if site.name in stopped else site for site in observed}
        parents = self.project.parents if found else ()
        host = LOOPBACK if compose.is_for_several_hosts(self.project) else self.project.server_host
        status = FederationStatus(
            project=self.project.name,
            runtime=self.name,
            server_address=f"{host}:{self.project.server.fed_learn_port}" if found else None,
            sites=tuple(
                found.get(parent.name)
                or SiteStatus(
                    name=parent.name, role=parent.role, state=SiteState.STOPPED, reason="it has no container"
                )
                for parent in parents
            ),
        )
        return as_server_sees(with_restarts(status))

    def logs(self, site: str, follow: bool = False, part: LogPart = WHOLE_LOG) -> Iterator[str]:
        """See `deploy.runtimes.protocol.Runtime.logs`."""
        # Docker's client rejects times before 1970 and zero.
        since = part.since and max(1.0, part.since.timestamp())
        tail_lines: Literal["all"] | int = "all" if part.tail is None else part.tail
        chunks = self._container(site).logs(stream=True, follow=follow, tail=tail_lines, since=since)
        return lines_of(chunks)

    def admin_kit(self, admin: str) -> Path:
        """See `deploy.runtimes.protocol.Runtime.admin_kit`."""
        server = self._container(self.project.server.name)
        if server.status != "running":
            raise Failed("The server is not running; start it: flarefleet up --runtime docker")
        copy = self.folder / "admin" / admin
        return kit_for_host(self.workspace.kit(admin), local_server_host(self.project), copy)

    def analytics(self) -> Path | None:
        """See `deploy.runtimes.protocol.Runtime.analytics`.

        If this user may read the engine's volumes, it is the live folder; otherwise it is a copy.
        """
        from docker.errors import NotFound

        name = f"{compose_name(self.project.name)}_{self.project.server.name}-workspace"
        try:
            volume = self.client.volumes.get(name)
        except NotFound:
            return None
        live = Path(volume.attrs["Mountpoint"]) / ANALYTICS_FOLDER
        if os.access(live, os.R_OK | os.X_OK):
            return live
        copy = self.folder / ANALYTICS_FOLDER
        server = self._container(self.project.server.name)
        source = str(WORKSPACE_PATH / ANALYTICS_FOLDER)
        if server.status == "running":
            return update_copy(copy, source, lambda command: output_of(server, command))
        image = server.attrs["Image"]
        with volume_container(self.client, name, str(WORKSPACE_PATH), image, self.labels) as container:
            return copy if copy_out(container, source, copy) else None

    def _filters(self, *further: str) -> Filters:
        return {"label": [*(f"{label}={value}" for label, value in self.labels.items()), *further]}

    def containers(self, *labels: str) -> list[Container]:
        """Return the containers with further labels, including stopped ones."""
        filters = self._filters(*labels)
        return list(self.client.containers.list(all=True, filters=filters, ignore_removed=True))

    def _container(self, site: str) -> Container:
        self.project.parent(site)  # rejects an unknown name
        for container in self.containers(LABEL_SITE):
            if container.labels.get(LABEL_SITE) == site:
                return container
        raise Failed(f"{site} has no container; start the federation: flarefleet up --runtime docker")

    def ports_to_open(self) -> set[int]:
        """Return the ports that the server's container publishes, without those that it has published."""
        server = self.project.server
        ports = {server.fed_learn_port, server.admin_port}
        for container in self.containers(LABEL_SITE):  # a running server keeps or releases its own ports
            if container.labels[LABEL_SITE] == server.name and container.status == "running":
                ports -= published_ports(container)
        return ports

    def _private_keys(self) -> dict[str, keys.PrivateKey]:
        prefix = compose_name(self.project.name)
        return {
            parent.name: keys.private_key_of(
                self.workspace.kit(parent.name), parent.role, f"{prefix}_{parent.name}"
            )
            for parent in self.project.parents
        }

    def _log_end(self, name: str) -> list[str]:
        return tail(self._container(name))

    def _stopped(self) -> set[str]:
        """Return the server and sites that `stop` has stopped since the last `up` of them."""
        found = read(self._stopped_file, StoppedNames)
        return {*found.names} if found else set()

    def _write_stopped(self, names: Iterable[str]) -> None:
        write(self._stopped_file, StoppedNames(names=tuple(sorted(names))))

    def _stop(self) -> None:
        self._write_stopped(())
        if self.file.exists():
            find_compose().run(self.file, "down", "--remove-orphans")
        for container in self.containers():  # containers of an `up` that was killed
            container.remove(force=True)
        self._remove_key_volumes(keep=set())

    def _remove_key_volumes(self, keep: set[str]) -> None:
        for volume in self.client.volumes.list(filters=self._filters(keys.LABEL_KEY)):
            if volume.name not in keep:
                volume.remove()

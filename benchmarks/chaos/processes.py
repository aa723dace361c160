"""A federation of processes on this machine, with a proxy between its first site and the server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.chaos.federation import wait_until
from benchmarks.chaos.host import DISK_MIB, UPLOAD_BYTES_PER_SECOND, UPLOADED, OnThisMachine
from benchmarks.chaos.kills import SERVER, SITE, Fault
from benchmarks.chaos.proxy import Proxy
from benchmarks.project import write_project
from deploy.ports import free_ports
from deploy.project import Server, Site
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.process.run_folder import ParentSpec
from fl_app.contract import ENV_SERVER_ADDRESS


class ThroughProxy(ProcessRuntime):
    """The process runtime whose first site reaches the server at another port."""

    proxy_port = 0

    def _member(
        self, parent: Server | Site, address: str, parent_port: int, telemetry_port: int
    ) -> ParentSpec:
        spec = super()._member(parent, address, parent_port, telemetry_port)
        if parent.name != SITE:
            return spec
        host = address.rpartition(":")[0]
        environment = {**spec.environment, ENV_SERVER_ADDRESS: f"{host}:{self.proxy_port}"}
        return spec.model_copy(update={"environment": environment})


class Processes(OnThisMachine):
    """Processes. Faults concern only those that carry the run folder of this federation."""

    runtime: ThroughProxy
    small_disk = ""
    """Server or site whose workspace is on a small volume."""

    def write_project(self) -> None:
        """Write project.yml."""
        port, self.proxy_port = free_ports(2)
        self.proxy = Proxy(port, self.proxy_port)
        server = {"name": SERVER, "fed_learn_port": port, "default_host": "localhost"}
        write_project(self.folder, server, self.sites, scheme="http", **self.deployment())

    def open_runtime(self) -> ThroughProxy:
        """Return the runtime."""
        runtime = ThroughProxy(self.project, self.workspace)
        runtime.proxy_port = self.proxy_port
        return runtime

    def down(self) -> None:
        """Stop everything, frozen processes included."""
        for process in self.all_processes():
            with suppress(psutil.Error):
                process.resume()
        super().down()

    def all_processes(self) -> list[psutil.Process]:
        """Return every process of the federation, also those whose supervisor is gone."""
        return self.runtime.folder.processes()

    def before_job(self, mid_upload: bool) -> None:
        """Limit the rate of the proxy, or remove the limit."""
        self.proxy.bytes_per_second = UPLOAD_BYTES_PER_SECOND if mid_upload else 0

    def wait_for_upload(self, site: str) -> None:
        """Wait until the site has sent a part of its model."""
        before = self.proxy.sent
        wait_until(lambda: self.proxy.sent > before + UPLOADED, 30)

    def prepare(self, fault: Fault, name: str) -> Callable[[], object]:
        """Return what begins a fault."""
        return self.proxy.cut if fault is Fault.CUT else super().prepare(fault, name)

    def end(self, fault: Fault, name: str) -> None:
        """End a fault."""
        if fault is Fault.CUT:
            self.proxy.mend()
        else:
            super().end(fault, name)

    def first_process(self, name: str) -> psutil.Process:
        """Return the first process of a server or site."""
        record = self.runtime.folder.record(name)
        process = record.process() if record else None
        if process is None:
            raise RuntimeError(f"{name} is not running")
        return process

    def workspace_folder(self, name: str) -> Path:
        """Return the workspace of a server or site."""
        return self.runtime.folder.workspace(name)

    def mount(self, name: str) -> None:
        """Put the workspace of a server or site on a small volume; needs root."""
        folder = self.workspace_folder(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={DISK_MIB}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        self.small_disk = name

    def close(self) -> None:
        """Remove the small volume and the proxy."""
        self.proxy.close()
        if self.small_disk:
            subprocess.run(["umount", "-l", self.runtime.folder.workspace(self.small_disk)], check=False)

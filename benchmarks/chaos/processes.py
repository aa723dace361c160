"""A federation of processes on this machine, with a proxy between its first site and the server."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.chaos.federation import ChaosFederation, wait_until
from benchmarks.chaos.kills import SERVER, SITE, Fault
from benchmarks.chaos.proxy import Proxy
from benchmarks.project import write_project
from deploy.ports import free_ports
from deploy.project import Server, Site
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.process.run_folder import ParentSpec
from fl_app.contract import ENV_SERVER_ADDRESS

DISK_MIB = 96
UPLOAD_BYTES_PER_SECOND = 1_000_000
_JOB_PROGRAMS = {"fl_app.launchers.server_job", "fl_app.launchers.site_job"}


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


class Processes(ChaosFederation):
    """Processes. Faults concern only those that carry the run folder of this federation."""

    runtime: ThroughProxy
    small_disk = ""
    """Server or site whose workspace is on a small volume."""

    def write_project(self) -> None:
        """Write project.yml."""
        port, self.proxy_port = free_ports(2)
        self.proxy = Proxy(port, self.proxy_port)
        deployment = {} if self.survives else {"deployment": {"survival": {"enabled": False}}}
        server = {"name": SERVER, "fed_learn_port": port, "default_host": "localhost"}
        write_project(self.folder, server, self.sites, scheme="http", **deployment)

    def open_runtime(self) -> ThroughProxy:
        """Return the runtime."""
        runtime = ThroughProxy(self.project, self.workspace)
        runtime.proxy_port = self.proxy_port
        return runtime

    def down(self) -> None:
        """Stop everything, frozen processes included."""
        for process in self.runtime.folder.processes():
            with suppress(psutil.Error):
                process.resume()
        super().down()
        self.unmount()

    def before_job(self, mid_upload: bool) -> None:
        """Make the network slow for uploads, or fast."""
        self.proxy.bytes_per_second = UPLOAD_BYTES_PER_SECOND if mid_upload else 0

    def wait_for_upload(self, site: str) -> None:
        """Wait until the proxy has forwarded a megabyte more than now."""
        before = self.proxy.sent
        wait_until(lambda: self.proxy.sent > before + 1_000_000, 30)

    def begin(self, fault: Fault, name: str) -> None:
        """Begin a fault."""
        folder = self.runtime.folder
        if fault is Fault.KILL_PARENT:
            self.parent(name).kill()
        elif fault is Fault.KILL_SUPERVISOR:
            self.supervisor(name).kill()
        elif fault is Fault.KILL_JOB:
            for process in self.job_processes(name):
                process.kill()
        elif fault is Fault.TERMINATE:
            process = self.supervisor(name)
            process.terminate()
            wait_until(lambda: not _is_running(process), 40)
        elif fault is Fault.FREEZE:
            self._signal(name, signal.SIGSTOP)
        elif fault is Fault.CUT:
            self.proxy.cut()
        elif fault is Fault.KILL_ALL:
            for process in folder.processes():
                process.kill()
        elif fault is Fault.FILL_DISK:
            self._fill(folder.workspace(name))
        else:
            raise NotImplementedError(fault)

    def end(self, fault: Fault, name: str) -> None:
        """End a fault."""
        if fault is Fault.FREEZE:
            self._signal(name, signal.SIGCONT)
        elif fault is Fault.CUT:
            self.proxy.mend()
        elif fault is Fault.FILL_DISK:
            (self.runtime.folder.workspace(name) / "ballast").unlink()

    def supervisor(self, name: str) -> psutil.Process:
        """Return the first process of a server or site."""
        record = self.runtime.folder.record(name)
        process = record.process() if record else None
        if process is None:
            raise RuntimeError(f"{name} is not running")
        return process

    def parent(self, name: str) -> psutil.Process:
        """Return NVFlare's parent of a server or site."""
        return self.supervisor(name).children()[0]

    def job_processes(self, name: str) -> list[psutil.Process]:
        """Return the job processes of a server or site."""
        children = self.parent(name).children()
        return [child for child in children if _JOB_PROGRAMS & set(child.cmdline())]

    def mount(self, name: str) -> None:
        """Put the workspace of a server or site on a small volume; needs root."""
        folder = self.runtime.folder.workspace(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={DISK_MIB}m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        self.small_disk = name

    def unmount(self) -> None:
        """Remove the small volume."""
        if self.small_disk:
            subprocess.run(["umount", "-l", self.runtime.folder.workspace(self.small_disk)], check=False)
            self.small_disk = ""

    def _signal(self, name: str, number: signal.Signals) -> None:
        supervisor = self.supervisor(name)
        for process in (supervisor, *supervisor.children(recursive=True)):
            with suppress(psutil.Error):
                process.send_signal(number)

    def _fill(self, workspace: Path) -> None:
        """Leave no byte free on the volume of a workspace."""
        if not os.path.ismount(workspace):
            raise RuntimeError(f"{workspace} is not a volume of its own")
        with (workspace / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                if file.write(bytes(65_536)) < 65_536:
                    break


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

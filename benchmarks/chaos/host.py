"""Faults of processes and network namespaces that this machine's kernel runs, in containers and pods, too."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from benchmarks.chaos.federation import ChaosFederation, wait_until
from benchmarks.chaos.kills import Fault
from fl_app.contract import WORKSPACE_PATH

JOB_PROGRAMS = {"fl_app.launchers.server_job", "fl_app.launchers.site_job"}
_INIT = "tini"
"""Process 1 of the images, above the supervisor."""
UPLOAD_BYTES_PER_SECOND = 1_000_000
UPLOADED = 1_000_000
"""Bytes after which an upload is in its middle."""
TERMINATION_SECONDS = 60.0
DISK_MIB = 96
"""Size of the volume in the rows of full disks."""
_BALLAST = "ballast"
_QDISC, _ETH0 = ("tc", "qdisc"), ("dev", "eth0")


class OnThisMachine(ChaosFederation):
    """A federation whose processes this machine's root can signal, and whose packets it can drop."""

    @abstractmethod
    def first_process(self, name: str) -> psutil.Process:
        """Return the first process of a server or site: process 1 of its container.

        Raises:
            RuntimeError: it is not running.
        """

    def supervisor(self, name: str) -> psutil.Process:
        """Return the process that supervises NVFlare's parent."""
        first = self.first_process(name)
        return first.children()[0] if first.name() == _INIT else first

    def parent(self, name: str) -> psutil.Process:
        """Return NVFlare's parent of a server or site."""
        return self.supervisor(name).children()[0]

    def job_processes(self, name: str) -> list[psutil.Process]:
        """Return the job processes of a server or site."""
        return [child for child in self.parent(name).children() if JOB_PROGRAMS & set(child.cmdline())]

    def processes(self, name: str) -> list[psutil.Process]:
        """Return every process of a server or site."""
        first = self.first_process(name)
        return [first, *first.children(recursive=True)]

    def all_processes(self) -> list[psutil.Process]:
        """Return every process of the federation."""
        return [process for name in self.parts for process in self.processes(name)]

    def in_networks(self, name: str) -> list[psutil.Process]:
        """Return a process in each network namespace of a server or site."""
        return [self.first_process(name)]

    def workspace_folder(self, name: str) -> Path:
        """Return where this machine sees the workspace of a server or site."""
        return Path(f"/proc/{self.first_process(name).pid}/root{WORKSPACE_PATH}")

    def prepare(self, fault: Fault, name: str) -> Callable[[], object]:
        """Return what begins a fault."""
        if fault is Fault.KILL_PARENT:
            return self.parent(name).kill
        if fault is Fault.KILL_SUPERVISOR:
            return self.first_process(name).kill
        if fault is Fault.KILL_JOB:
            return partial(_kill, self.job_processes(name))
        if fault is Fault.KILL_ALL:
            return partial(_kill, self.all_processes())
        if fault is Fault.FREEZE:
            return partial(_signal, self.processes(name), signal.SIGSTOP)
        if fault is Fault.TERMINATE:
            return partial(_terminate, self.first_process(name))
        if fault is Fault.CUT:
            return partial(self.drop_packets, self.in_networks(name), "-A")
        if fault is Fault.FILL_DISK:
            return partial(_fill, self.workspace_folder(name))
        raise ValueError(f"this runtime has no fault {fault.name}")

    def end(self, fault: Fault, name: str) -> None:
        """End a fault."""
        if fault is Fault.FREEZE:
            _signal(self.processes(name), signal.SIGCONT)
        elif fault is Fault.CUT:
            self.drop_packets(self.in_networks(name), "-D")
        elif fault is Fault.FILL_DISK:
            (self.workspace_folder(name) / _BALLAST).unlink()
        else:
            raise ValueError(f"{fault.name} has no end")

    def before_job(self, mid_upload: bool) -> None:
        """Limit the rate at which the first site sends to the server, or remove the limit."""
        if mid_upload:
            self.slow_down(self.sites[0])
        else:
            _in_network(self.in_networks(self.sites[0]), *_QDISC, "del", *_ETH0, "root", may_fail=True)

    def slow_down(self, site: str) -> None:
        """Limit the rate at which a site sends to the server; between its pods there is no limit."""
        rate, port = f"{UPLOAD_BYTES_PER_SECOND * 8}bit", str(self.project.server.fed_learn_port)
        limit = ("htb", "rate", rate, "burst", "64kb")
        to_server = ("u32", "match", "ip", "dport", port, "0xffff", "flowid", "1:4")
        inside = self.in_networks(site)
        _in_network(inside, *_QDISC, "add", *_ETH0, "root", "handle", "1:", "htb")
        _in_network(inside, "tc", "class", "add", *_ETH0, "parent", "1:", "classid", "1:4", *limit)
        _in_network(inside, "tc", "filter", "add", *_ETH0, "parent", "1:", "protocol", "ip", *to_server)

    def wait_for_upload(self, site: str) -> None:
        """Wait until the site has sent a part of its model."""
        before = self._sent(site)
        wait_until(lambda: self._sent(site) > before + UPLOADED, 30)

    def drop_packets(self, inside: list[psutil.Process], change: str) -> None:
        """Add (-A) or delete (-D) the rules that drop packets between a site and the server's port.

        A pod that was started during the cut has no rules to delete.
        """
        port = str(self.project.server.fed_learn_port)
        for chain, direction in (("OUTPUT", "--dport"), ("INPUT", "--sport")):
            rule = ("-p", "tcp", direction, port, "-j", "DROP")
            _in_network(inside, "iptables", change, chain, *rule, may_fail=change == "-D")

    def _sent(self, name: str) -> int:
        """Return the bytes that left the network namespaces of a server or site."""
        files = [Path(f"/proc/{process.pid}/net/dev") for process in self.in_networks(name)]
        lines = [line for file in files for line in file.read_text().splitlines()]
        return sum(int(line.split()[9]) for line in lines if line.strip().startswith("eth"))


def _in_network(inside: list[psutil.Process], *command: str, may_fail: bool = False) -> None:
    for process in inside:
        enter = ("nsenter", "--target", str(process.pid), "--net")
        subprocess.run([*enter, *command], check=not may_fail, capture_output=True)


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _terminate(process: psutil.Process) -> None:
    process.terminate()
    wait_until(lambda: not is_running(process), TERMINATION_SECONDS)


def is_running(process: psutil.Process) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _kill(processes: list[psutil.Process]) -> None:
    if not processes:
        raise RuntimeError("there is no process to kill")
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _fill(workspace: Path) -> None:
    """Leave no byte free on the volume of a workspace."""
    if not os.path.ismount(workspace):
        raise RuntimeError(f"{workspace} is not a volume of its own")
    with (workspace / _BALLAST).open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass

"""Faults of processes and network namespaces that this machine's kernel runs, in containers and pods, too."""

from __future__ import annotations

import signal
import subprocess
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.chaos.federation import ChaosFederation, wait_until
from benchmarks.chaos.kills import Fault

JOB_PROGRAMS = {"fl_app.launchers.server_job", "fl_app.launchers.site_job"}
_INIT = "tini"
"""Process 1 of the images, above the supervisor."""
UPLOAD_BYTES_PER_SECOND = 1_000_000
UPLOADED = 1_000_000
"""Bytes after which an upload is in its middle."""
TERMINATION_SECONDS = 60.0


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

    def all_processes(self) -> list[psutil.Process]:
        """Return every process of the federation."""
        found = []
        for name in self.parts:
            first = self.first_process(name)
            found += [first, *first.children(recursive=True)]
        return found

    def begin(self, fault: Fault, name: str) -> None:
        """Begin a fault."""
        if fault is Fault.KILL_PARENT:
            self.parent(name).kill()
        elif fault is Fault.KILL_SUPERVISOR:
            self.first_process(name).kill()
        elif fault is Fault.KILL_JOB:
            _kill(self.job_processes(name))
        elif fault is Fault.KILL_ALL:
            _kill(self.all_processes())
        elif fault is Fault.FREEZE:
            self._signal(name, signal.SIGSTOP)
        elif fault is Fault.TERMINATE:
            process = self.first_process(name)
            process.terminate()
            wait_until(lambda: not is_running(process), TERMINATION_SECONDS)
        elif fault is Fault.CUT:
            self.drop_packets(name, "-A")
        else:
            raise NotImplementedError(fault)

    def end(self, fault: Fault, name: str) -> None:
        """End a fault."""
        if fault is Fault.FREEZE:
            self._signal(name, signal.SIGCONT)
        elif fault is Fault.CUT:
            self.drop_packets(name, "-D")
        else:
            raise NotImplementedError(fault)

    def before_job(self, mid_upload: bool) -> None:
        """Limit the rate of the first site's network namespace, or remove the limit."""
        self._in_network(self.sites[0], "tc", "qdisc", "del", "dev", "eth0", "root", may_fail=True)
        if mid_upload:
            rate = f"{UPLOAD_BYTES_PER_SECOND * 8}bit"
            limit = ("root", "tbf", "rate", rate, "burst", "64kb", "latency", "400ms")
            self._in_network(self.sites[0], "tc", "qdisc", "add", "dev", "eth0", *limit)

    def wait_for_upload(self, site: str) -> None:
        """Wait until the site has sent a part of its model."""
        before = self._sent(site)
        wait_until(lambda: self._sent(site) > before + UPLOADED, 30)

    def drop_packets(self, name: str, change: str) -> None:
        """Add (-A) or delete (-D) the rules that drop packets between a site and the server's port."""
        port = str(self.project.server.fed_learn_port)
        for chain, direction in (("OUTPUT", "--dport"), ("INPUT", "--sport")):
            rule = ("-p", "tcp", direction, port, "-j", "DROP")
            self._in_network(name, "iptables", change, chain, *rule)

    def _in_network(self, name: str, *command: str, may_fail: bool = False) -> None:
        enter = ("nsenter", "--target", str(self.first_process(name).pid), "--net")
        subprocess.run([*enter, *command], check=not may_fail, capture_output=True)

    def _sent(self, name: str) -> int:
        """Return the bytes that left a network namespace."""
        lines = Path(f"/proc/{self.first_process(name).pid}/net/dev").read_text().splitlines()
        return sum(int(line.split()[9]) for line in lines if line.strip().startswith("eth"))

    def _signal(self, name: str, number: signal.Signals) -> None:
        supervisor = self.supervisor(name)
        for process in (supervisor, *supervisor.children(recursive=True)):
            with suppress(psutil.Error):
                process.send_signal(number)


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

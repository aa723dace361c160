"""Run NVFlare's simulator and terminate all of its processes at the end.

`python -m deploy.simulation.simulator_process SECONDS COMMAND...` writes one line to stdout at its end:
`exited N` (the exit status of the simulator), `timeout` (it ran longer than SECONDS), `caller exited`, or
`lost SITE` (the process of a site exited; the simulator would wait for it forever).

NVFlare starts each simulated site in its own session, which a signal to a process group does not reach.
Therefore this process adopts orphans (on Linux) and remembers all descendants (on every platform).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import time

import psutil

from deploy.runtimes.records import is_running
from fl_app.nvflare_internals.simulator import SITE_MODULE

POLL_INTERVAL = 0.2
"""Seconds between two checks of the processes."""
LOST_GRACE = 20.0
"""Seconds from the exit of a site's process until the simulation must have ended; the server exits last."""
TERMINATE_TIMEOUT = 5.0
"""Seconds from SIGTERM to SIGKILL."""

_PR_SET_CHILD_SUBREAPER = 36


class Descendants:
    """All descendants of this process."""

    def __init__(self) -> None:
        self._seen: dict[int, psutil.Process] = {}
        self._sites: dict[int, str] = {}
        self._lost_since: dict[str, float] = {}

    def update(self) -> None:
        """Find new descendants, and sites whose process has exited."""
        for process in psutil.Process().children(recursive=True):
            if process.pid not in self._seen:
                self._seen[process.pid] = process
            if process.pid not in self._sites and (site := _site_of(process)):
                self._sites[process.pid] = site
        running = {self._sites[process.pid] for process in self.running() if process.pid in self._sites}
        for site in set(self._sites.values()):
            if site in running:
                self._lost_since.pop(site, None)
            else:
                self._lost_since.setdefault(site, time.monotonic())

    def lost_site(self) -> str | None:
        """Return a site whose process exited longer ago than the grace period."""
        for site, since in self._lost_since.items():
            if time.monotonic() - since > LOST_GRACE:
                return site
        return None

    def running(self) -> list[psutil.Process]:
        """Return the descendants that are running."""
        return [process for process in self._seen.values() if is_running(process)]

    def terminate(self) -> None:
        """Terminate all descendants; kill those that do not exit."""
        self.update()
        for process in self.running():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(self.running(), timeout=TERMINATE_TIMEOUT)
        self.update()
        while left := self.running():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=TERMINATE_TIMEOUT)
            self.update()


def main(arguments: list[str]) -> int:
    """Run the command and print its result; return the exit status."""
    _adopt_orphans()
    deadline = time.monotonic() + float(arguments[0])
    descendants = Descendants()
    simulator = subprocess.Popen(
        arguments[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    try:
        print(_watch(simulator, descendants, deadline), flush=True)
    finally:
        descendants.terminate()
        simulator.wait()
    return 0


def _watch(simulator: subprocess.Popen[bytes], descendants: Descendants, deadline: float) -> str:
    while True:
        descendants.update()
        code = simulator.poll()
        if code is not None:
            return f"exited {code}"
        if time.monotonic() > deadline:
            return "timeout"
        if site := descendants.lost_site():
            return f"lost {site}"
        if _caller_has_exited():
            return "caller exited"


def _caller_has_exited() -> bool:
    """Wait for one interval; return whether stdin was closed meanwhile."""
    readable, _, _ = select.select([0], [], [], POLL_INTERVAL)
    return bool(readable) and not os.read(0, 1)


def _site_of(process: psutil.Process) -> str | None:
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    if SITE_MODULE not in words or "--client" not in words:
        return None
    return str(words[words.index("--client") + 1])


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent exits."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

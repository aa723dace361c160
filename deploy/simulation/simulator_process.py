"""The program that runs NVFlare's simulator until it ends, and leaves no process of it behind.

`python -m deploy.simulation.simulator_process SECONDS COMMAND...` writes one word to stdout at its
end: `ended N` (the exit code of the simulator), `late` (not within SECONDS), `alone` (the caller is gone), or
`lost SITE` (a
site's process died; the simulator would wait for it for ever).

NVFlare starts each simulated site in a session of its own, out of reach of a signal to a group, so the keeper
adopts orphans (on Linux) and remembers whom it has seen (everywhere).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable

import psutil

from fl_app.nvflare_internals.simulator import SITE_MODULE

LOOK = 0.2
"""Seconds between two looks at the processes."""
LOST_GRACE = 20.0
"""Seconds that a simulation may go on after the process of a site has ended: sites end first, then the
server."""
END_WITHIN = 5.0
"""Seconds in which processes end once they are told to; then they are killed."""

_PR_SET_CHILD_SUBREAPER = 36


class Family:
    """All processes that came from this one."""

    def __init__(self) -> None:
        self._seen: dict[int, psutil.Process] = {}
        self._sites: dict[int, str] = {}
        self._lost_since: dict[str, float] = {}

    def look(self) -> None:
        """See who has come and gone."""
        for process in psutil.Process().children(recursive=True):
            if process.pid not in self._seen:
                self._seen[process.pid] = process
            if process.pid not in self._sites and (site := _site_of(process)):
                self._sites[process.pid] = site
        living = {self._sites[process.pid] for process in self.alive() if process.pid in self._sites}
        for site in set(self._sites.values()):
            if site in living:
                self._lost_since.pop(site, None)
            else:
                self._lost_since.setdefault(site, time.monotonic())

    def lost_site(self) -> str | None:
        """A site whose process has been gone for longer than an end takes."""
        for site, since in self._lost_since.items():
            if time.monotonic() - since > LOST_GRACE:
                return site
        return None

    def alive(self) -> list[psutil.Process]:
        """Who of them still runs."""
        return [process for process in self._seen.values() if _runs(process)]

    def end(self) -> None:
        """End them all, first politely."""
        self.look()
        for process in self.alive():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        psutil.wait_procs(self.alive(), timeout=END_WITHIN)
        self.look()
        while left := self.alive():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=END_WITHIN)
            self.look()


def main(arguments: list[str]) -> int:
    """Run the command and say how it ended."""
    _adopt_orphans()
    deadline = time.monotonic() + float(arguments[0])
    family = Family()
    simulator = subprocess.Popen(
        arguments[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
    )
    try:
        print(_watch(simulator, family, deadline), flush=True)
    finally:
        family.end()
        simulator.wait()
    return 0


def _watch(simulator: subprocess.Popen[bytes], family: Family, deadline: float) -> str:
    while True:
        family.look()
        code = simulator.poll()
        if code is not None:
            return f"ended {code}"
        if time.monotonic() > deadline:
            return "late"
        if site := family.lost_site():
            return f"lost {site}"
        if _caller_is_gone():
            return "alone"


def _caller_is_gone() -> bool:
    """Wait a moment; whether meanwhile the other end of stdin was closed."""
    readable, _, _ = select.select([0], [], [], LOOK)
    return bool(readable) and not os.read(0, 1)


def _site_of(process: psutil.Process) -> str | None:
    try:
        words: Iterable[str] = process.cmdline()
    except psutil.Error:
        return None
    words = list(words)
    if SITE_MODULE not in words or "--client" not in words:
        return None
    return words[words.index("--client") + 1]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _adopt_orphans() -> None:
    """Become the parent of those whose parent dies, so that they are still found."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

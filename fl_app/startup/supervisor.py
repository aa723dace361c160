"""The process above a parent: it forwards signals, starts a parent that died again, and ends its processes.

NVFlare's parent runs in a forked child, and the supervisor only waits, so that it handles signals even if
NVFlare hangs. The supervisor adopts orphans of the parent (child subreaper of Linux), and the kernel signals
the parent when the supervisor dies (PR_SET_PDEATHSIG). As process 1 of a container it is a complete init.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import psutil  # at the top: a signal handler must not wait for a lock of the import system

from fl_app.child_process import adopt_orphans
from fl_app.survival.stopping import stop

STOP_GRACE_SECONDS = 5.0
"""From SIGTERM until the supervisor kills the parent."""
GOODBYE_SECONDS = 3.0
"""How long the parent may take for its steps before it exits."""
SWEEP_SECONDS = 5.0
POLL_SECONDS = 0.1
STOPPED = 0

_PR_SET_PDEATHSIG = 1
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Run a parent in a child process, and again after each exit that `delay_after` does not call final.

    Args:
        run: runs the parent and returns its exit code.
        delay_after: takes the exit code of a parent that got no stop signal, and the seconds for which it
            ran; returns the seconds until its next start, or None to return the code.
    """

    def __init__(self, run: Callable[[], int], delay_after: Callable[[int, float], float | None]) -> None:
        self._run = run
        self._delay_after = delay_after
        self._child = 0
        self._stopping = False

    def run(self) -> int:
        """Run the parent until it exits, and return its exit code, or 0 after a stop signal."""
        adopt_orphans()
        for number in _STOP_SIGNALS:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        while True:
            started = time.monotonic()
            code = self._run_once()
            kill_descendants()
            if self._stopping:
                return STOPPED
            delay = self._delay_after(code, time.monotonic() - started)
            if delay is None:
                return code
            if not self._wait(delay):
                return STOPPED

    def _wait(self, seconds: float) -> bool:
        """Wait, and return False as soon as a stop signal arrives."""
        deadline = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return not self._stopping

    def _run_once(self) -> int:
        # Block signals from the fork until the child has its own handlers, so that none gets lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        supervisor = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _run_child(self._run, supervisor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        while True:
            exited, status = os.waitpid(-1, 0)  # also reaps adopted processes
            if exited == self._child:
                self._child = 0
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            signal.setitimer(signal.ITIMER_REAL, STOP_GRACE_SECONDS)
        self._send(signal.SIGTERM)

    def _kill(self, number: int, frame: FrameType | None) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, number)


def _run_child(run: Callable[[], int], supervisor: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGTERM, lambda number, frame: _exit_on_signal(supervisor))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor forwards it as SIGTERM
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if os.getppid() == supervisor:  # otherwise the supervisor exited before prctl
            code = run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    _exit(code)


def _exit_on_signal(supervisor: int) -> NoReturn:
    """Exit before the processes of jobs do, so that NVFlare does not report that they ended."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop(GOODBYE_SECONDS)
    if os.getppid() != supervisor:  # it was killed, and cannot kill them
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
    _exit(STOPPED)


def _exit(code: int) -> NoReturn:
    """Exit without waiting for NVFlare's threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def kill_descendants(seconds: float = SWEEP_SECONDS) -> None:
    """Kill and reap every descendant of this process, in any session, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        descendants = psutil.Process().children(recursive=True)
        if not descendants:
            return
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        psutil.wait_procs(descendants, timeout=0.2)

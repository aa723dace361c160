"""The process above a parent: it passes signals on, outlives nothing, and leaves nobody behind.

NVFlare's parent runs in a forked child. The supervisor does nothing but wait: nothing that hangs in NVFlare
can keep a signal from being heard. It adopts what the parent leaves behind (Linux's child subreaper), so job
processes end with their parent however that dies; and the parent is told when the supervisor dies
(PR_SET_PDEATHSIG). As process 1 of a container it is a complete init.
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

import psutil  # at the top: a signal's handler must not wait for a lock of the import system

STOP_GRACE_SECONDS = 5.0
"""From the request to stop until the parent is killed."""
SWEEP_SECONDS = 5.0
STOPPED = 0

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Runs a parent in a child process, as often as it wants to be started again.

    Args:
        run: the parent; what it returns is the exit code.
        starts_again: asked when the parent ended by itself, with its exit code: whether to start it again.
    """

    def __init__(self, run: Callable[[], int], starts_again: Callable[[int], bool]) -> None:
        self._run = run
        self._starts_again = starts_again
        self._child = 0
        self._stopping = False

    def run(self) -> int:
        """Wait for the parent's end, end what is left of it, and return the exit code: 0 if asked to stop."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        for request in _REQUESTS:
            signal.signal(request, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        while True:
            code = self._run_once()
            end_descendants()
            if self._stopping:
                return STOPPED
            if not self._starts_again(code):
                return code

    def _run_once(self) -> int:
        # A signal between fork and the child's own handlers must not get lost: it waits until both are ready.
        signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
        supervisor = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _become_parent(self._run, supervisor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
        while True:
            ended, status = os.waitpid(-1, 0)  # also takes leave of adopted processes
            if ended == self._child:
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


def _become_parent(run: Callable[[], int], supervisor: int) -> NoReturn:
    """In the child: end at once when asked to or when the supervisor is gone, with all that was started."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, _end_at_once)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes it on
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
        if os.getppid() == supervisor:  # else it died before we asked to be told
            code = run()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    _exit(code)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    end_descendants()
    _exit(STOPPED)


def _exit(code: int) -> NoReturn:
    """End without waiting for NVFlare's threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            stream.flush()
    os._exit(code)


def end_descendants(seconds: float = SWEEP_SECONDS) -> None:
    """Kill every process below this one, in whatever session, and take leave of them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for child in left:
            with contextlib.suppress(psutil.Error):
                child.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        psutil.wait_procs(left, timeout=0.2)


def _prctl(option: int, value: int) -> None:
    """Ask the kernel; elsewhere than on Linux there is nobody to ask."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

"""A training at a site that will never send its result, although its process runs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fl_app.guard.site_error import SiteError
from fl_app.nvflare_internals.training_script import TrainingProcess, follow_script_calls

LATE_SECONDS = 2.0
"""Delay of a heartbeat of a training process from which on the process may be hung."""
IDLE_SECONDS = 3.0
"""Time for which such a process must not have used the processor."""
_IDLE_CPU = 0.05
"""Use of the processor below which a process is idle, in seconds."""
MAX_PASSES = 5
"""How often a script may ask for the model of one task; see `ScriptLoop`."""

HUNG = SiteError(
    "its training process sends no heartbeat and does nothing: its script has ended, or hangs",
    is_provisional=True,
)
"""Shown until NVFlare gives the process up, or it answers."""


class HungExit:
    """Detect a training process whose script has ended, but which does not exit.

    Threads of NVFlare keep the process of a script that raised or called `sys.exit` alive: it sends no more
    heartbeats, uses no processor, and NVFlare gives it up after 30 s. A training that blocks the heartbeats
    (a library that holds Python's lock) computes, and the threads of one that waits for a disk or for the
    processor do not sleep. So all signs must be there for some seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle_since: tuple[int, float, float] | None = None
        """Process group, its use of the processor, and since when it has not changed."""

    def hung(self, process: TrainingProcess | None) -> TrainingProcess | None:
        """Return the process if it is hung; to be called every second."""
        missing = process.silent_for - process.heartbeat_interval - LATE_SECONDS if process else -1.0
        if process is None or missing < -IDLE_SECONDS:
            self._idle_since = None
            return None
        used = cpu_time(process.group)
        if used is None:
            return None  # NVFlare notices by itself that it has exited
        group, before, since = self._idle_since or (process.group, used, self._clock())
        if group != process.group or used - before > _IDLE_CPU or not _is_sleeping(process.group):
            self._idle_since = (process.group, used, self._clock())
            return None
        self._idle_since = (group, before, since)
        return process if missing >= 0 and self._clock() - since >= IDLE_SECONDS else None


class ScriptLoop:
    """Detect a script that asks for the next model without having sent a result.

    A script may call `flare.receive()` several times for one task, and NVFlare returns the same model:
    Lightning does. It may also ask `flare.is_running()` during its training. The loop of a script calls the
    second and then the first, once for each task. Only MAX_PASSES such pairs without a result are an error.
    A script that sends with `clear_cache=False` gets the model of the last task until the next arrives; such
    calls do not count.
    """

    def __init__(self) -> None:
        self._previous = ""
        self._model: int | None = None
        """Identity of the model that the script received last."""
        self._old_model: int | None = None
        """The same, of the task before."""
        self._passes = 0

    def task_started(self) -> None:
        """Start to count for a new task."""
        self.answered()
        follow_script_calls(self.called)

    def answered(self) -> None:
        """Start to count anew: the script has sent a result, or a new task begins."""
        self._old_model, self._passes = self._model, 0

    def called(self, name: str, result: object = None) -> None:
        """Record a call of the script, and what it returned."""
        if name == "receive":
            is_again = id(result) == self._model
            self._model = id(result)
            if self._previous == "is_running" and self._model != self._old_model:
                self._passes = self._passes + 1 if is_again else 1
        self._previous = name

    def is_endless(self) -> bool:
        """Return whether the script has asked too often."""
        return self._passes >= MAX_PASSES

    def error(self) -> SiteError:
        """Return the error of such a script; the site answers no more task."""
        return SiteError(
            f"its script received the same model {self._passes} times without sending a result: "
            "flare.send() is missing in its loop",
            ends_site=True,
        )


def cpu_time(group: int) -> float | None:
    """Return the processor time of a process group in seconds; None if its first process is gone."""
    try:
        first = psutil.Process(group)
        members = [first, *first.children(recursive=True)]
        times = [one.cpu_times() for one in members]
    except psutil.Error:
        return None
    return sum(one.user + one.system for one in times)


def _is_sleeping(process: int) -> bool:
    """Return whether all threads of a process sleep: none runs, or waits for the processor or a disk."""
    try:
        states = [file.read_text() for file in Path(f"/proc/{process}/task").glob("*/stat")]
    except OSError:
        return False
    return bool(states) and all(state.rpartition(")")[2].split()[0] == "S" for state in states)


def end_group(group: int) -> None:
    """Ask the processes of a group to exit."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)

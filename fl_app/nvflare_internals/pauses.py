"""Pauses of NVFlare's loops around the start and the end of a job, made shorter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

USES = {
    "log:nvflare.private.fed.authenticator:time.sleep(self.retry_interval)": (
        "log in as soon as the connection is there"
    ),
    "log:nvflare.private.fed.client.client_app_runner:time.sleep(0.5)": (
        "report the start of a site's job process as soon as the connection is there"
    ),
    "log:nvflare.private.fed.client.client_runner:time.sleep(0.5)": (
        "ask the server's job process for the first time without a pause"
    ),
    "nvflare.private.fed.app.client.worker_process:monitor_parent_process": (
        "end a site's job process without waiting for the thread that watches its parent"
    ),
    "log:nvflare.private.fed.server.job_runner:time.sleep(1.0)": (
        "start a job when it was submitted, and notice its end soon"
    ),
    "nvflare.private.fed.server.job_runner:JobRunner._job_complete_process": (
        "shorten the pause of the thread that notices the end of a job"
    ),
}

SHORT_PAUSE = 0.1
"""Seconds."""
SHORT_PAUSES = 20
"""Number of pauses of a process that are short; after that, NVFlare's own pause applies, because the cause is
not the start."""
END_CHECK_SECONDS = 0.2
"""Pause between two looks at the running jobs, which are in memory; NVFlare: 1 s."""
END_CHECKS = 20
"""Short pauses while the same ended jobs stay. NVFlare may log a traceback of each at each look."""
PARENT_CHECK_SECONDS = 1.0

_submitted = threading.Event()
_end_loop = threading.local()
"""Its attribute `pause` is set in the thread that notices the ends of jobs."""


class _Time:
    """The module `time` with another `sleep`, for one module of NVFlare."""

    def __init__(self, sleep: Callable[[float], Any]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class _ShortPauses:
    """Sleep SHORT_PAUSE in place of `seconds`, SHORT_PAUSES times."""

    def __init__(self, seconds: float, count: int = SHORT_PAUSES) -> None:
        self._seconds = seconds
        self._left = count

    def __call__(self, seconds: float) -> None:
        if seconds == self._seconds and self._left:
            self._left -= 1
            seconds = SHORT_PAUSE
        time.sleep(seconds)


class _EndPause:
    """Sleep END_CHECK_SECONDS, and NVFlare's second if the same ended jobs have stayed for END_CHECKS looks.

    NVFlare looks again at a job that it cannot save, for example because the volume is full.
    """

    def __init__(self, runner: Any, engine: Any) -> None:
        self._runner = runner
        self._engine = engine
        self._ended = set[str]()
        self._looks = 0

    def __call__(self, seconds: float) -> None:
        ended = set(self._runner.running_jobs) - set(self._engine.run_processes)
        self._looks = self._looks + 1 if ended and ended == self._ended else 1
        self._ended = ended
        time.sleep(min(seconds, END_CHECK_SECONDS) if self._looks <= END_CHECKS else seconds)


def log_in_soon() -> None:
    """Let this process ask the server again after SHORT_PAUSE while it connects; NVFlare: 1 s."""
    from nvflare.private.fed import authenticator

    _replace_time(authenticator, _ShortPauses(1.0))


def start_site_job_soon() -> None:
    """Shorten the pauses of a site's job process at its start and at its end."""
    from nvflare.private.fed.app.client import worker_process
    from nvflare.private.fed.client import client_app_runner, client_runner

    _replace_time(client_app_runner, _ShortPauses(0.5))
    _replace_time(client_runner, _ShortPauses(0.5, count=1))  # the server may not be ready at the second
    worker_process.monitor_parent_process = _watch_parent


def schedule_jobs_soon() -> None:
    """Let the server's parent start a job after `job_submitted`, and notice the end of one soon."""
    from nvflare.private.fed.server import job_runner

    notice_ends = job_runner.JobRunner._job_complete_process

    @wraps(notice_ends)
    def notice_ends_soon(runner: Any, engine: Any) -> None:
        _end_loop.pause = _EndPause(runner, engine)
        notice_ends(runner, engine)

    _replace_time(job_runner, _pause_of_job_runner)
    job_runner.JobRunner._job_complete_process = notice_ends_soon


def job_submitted() -> None:
    """End the pause of the scheduler."""
    _submitted.set()


def _pause_of_job_runner(seconds: float) -> None:
    if pause := getattr(_end_loop, "pause", None):
        pause(seconds)
    elif _submitted.wait(seconds):
        _submitted.clear()


def _watch_parent(runner: Any, parent: int, ended: threading.Event) -> None:
    """Stop the job when the parent has ended, as NVFlare does; return at once when the job has."""
    import psutil

    while not ended.wait(PARENT_CHECK_SECONDS) and psutil.pid_exists(parent):
        pass
    runner.stop()


def _replace_time(module: ModuleType, sleep: Callable[[float], Any]) -> None:
    module.time = _Time(sleep)  # type: ignore[attr-defined]

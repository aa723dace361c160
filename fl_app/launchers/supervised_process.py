"""The process of a job as NVFlare's job handle: a killed process is started again.

A process of the server is also started again if it exits with an error code before NVFlare's main function
has returned or raised: NVFlare calls `os._exit(1)` if it cannot receive a result.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nvflare.apis.job_launcher_spec import JobHandleSpec, JobReturnCode
from nvflare.app_common.job_launcher.process_launcher import JOB_RETURN_CODE_MAPPING
from nvflare.utils.process_utils import ProcessAdapter

from fl_app.contract import ENV_JOB_PROCESS
from fl_app.guard.error_capture import exit_text
from fl_app.launchers.kill_reason import KillReasons
from fl_app.launchers.process_end import forget_end, has_recorded_end
from fl_app.launchers.restarts import Death, Restarts

_reasons = KillReasons()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobProcess:
    """What a parent needs to start the process of a job, any number of times."""

    start: Callable[[], ProcessAdapter]
    folder: Path
    """Run folder of the job."""
    mark: str
    """Value of ENV_JOB_PROCESS for this process."""
    site: str
    """Name of the site or server in project.yml."""
    is_server: bool = False
    """Whether an exit with an error code and without a recorded end is a death. At a site, a training script
    may exit."""


class SupervisedProcess(JobHandleSpec):
    """The process of a job. NVFlare does not see that a killed process is started again.

    Args:
        process: the process to start.
        restarts: restarts of this job.
        ended: called with the exit code, and with the death if the process was killed and stays dead.
    """

    def __init__(
        self, process: JobProcess, restarts: Restarts, ended: Callable[[int | None, Death | None], None]
    ) -> None:
        super().__init__()
        self._job = process
        self._restarts = restarts
        self._ended = ended
        self._lock = threading.Lock()
        self._result: tuple[int | None] | None = None
        self._kills = (0, 0)
        self._process = self._start()

    def terminate(self) -> None:
        """Kill the process; it is not started again."""
        self._restarts.stopped.set()
        with self._lock:
            self._process.terminate()

    def poll(self) -> int:
        """Return NVFlare's code of the end; UNKNOWN as long as the process runs or is started again."""
        if self._result is None or self._result[0] is None:
            return int(JobReturnCode.UNKNOWN)
        return int(JOB_RETURN_CODE_MAPPING.get(self._result[0], JobReturnCode.EXECUTION_ERROR))

    def wait(self) -> None:
        """Wait until the process has ended and is not started again."""
        while True:
            self._process.wait()
            code = self._process.poll()
            death = None if has_recorded_end(self._job.folder) else self._death(code)
            if death is not None or (code is not None and code < 0):
                kill_marked(self._job.mark)
            if death is None or (death := self._restart(death)) is not None:
                break
        self._restarts.close()
        try:
            self._ended(code, death)
        except Exception:  # NVFlare must learn the end of the process, whatever becomes of the report
            _log.exception("reporting the end of job %s failed", self._restarts.job_id)
        self._result = (code,)

    def _start(self) -> ProcessAdapter:
        forget_end(self._job.folder)
        self._kills = _reasons.counters()
        return self._job.start()

    def _death(self, code: int | None) -> Death | None:
        if self._job.is_server and code is not None and code > 0:
            return Death(f"its job process {exit_text(code)}", is_deterministic=True)
        return _reasons.of(code, self._job.site, self._kills)

    def _restart(self, death: Death) -> Death | None:
        """Start the process again; return the death that stays if that is not allowed."""
        while self._restarts.allow(death):
            with self._lock:
                if self._restarts.stopped.is_set():
                    break
                try:
                    self._process = self._start()
                except Exception as error:
                    _log.exception("starting the process of job %s again failed", self._restarts.job_id)
                    death = Death(f"its job process cannot be started: {error}")
                else:
                    return None
        return self._restarts.final(death)


def kill_marked(mark: str) -> None:
    """Kill the processes that a job process has started and left, such as its training process.

    They have sessions of their own, and would compete with those of the next job process.

    Args:
        mark: value of ENV_JOB_PROCESS in their environment.
    """
    entry = f"{ENV_JOB_PROCESS}={mark}".encode()
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            if entry in file.read_bytes().split(b"\0"):
                os.kill(int(file.parent.name), signal.SIGKILL)

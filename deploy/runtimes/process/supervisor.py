"""Start servers and sites, start those again that are killed, and record how each exited.

`up` starts `python -m deploy.runtimes.process.supervisor RUN_FOLDER NAME...` in its own session, so that the
processes keep running when the command ends. A server or site of a supervisor that was killed keeps running,
and the supervisor of the next `up` takes over.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from deploy.runtimes.exit_reason import REFUSAL, SIGNALLED, STOPPED, exit_reason
from deploy.runtimes.process.run_folder import ParentSpec, ProcessRunFolder
from deploy.runtimes.records import ProcessRecord
from fl_app import contract
from fl_app.backoff import Backoff

POLL_SECONDS = 0.1
RETRY_SECONDS = 5.0
"""Pause after an error of the supervisor itself."""


def main(arguments: list[str]) -> int:
    """Start or take over the named servers and sites, and supervise them until the last one has exited."""
    folder = ProcessRunFolder(Path(arguments[0]))
    spec = folder.spec()
    assert spec is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own = ProcessRecord.of(psutil.Process())
    supervised = []
    for name in arguments[1:]:
        member = spec.member(name)
        assert member is not None
        supervised.append(_Supervised(folder, member, own))
        supervised[-1].start()
    threads = [threading.Thread(target=one.keep, name=one.name) for one in supervised]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


class _Supervised:
    """A server or site, as long as this supervisor is its owner."""

    def __init__(self, folder: ProcessRunFolder, spec: ParentSpec, own: ProcessRecord) -> None:
        self.name = spec.name
        self._folder = folder
        self._spec = spec
        self._own = own
        self._record = ProcessRecord(pid=0, created=0.0)
        self._child: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff()

    def start(self) -> None:
        """Become the owner; start the process, or take over the one that is running."""
        with self._folder.changing(self.name):
            self._folder.write_owner(self.name, self._own)
            record = self._folder.record(self.name)
            if record is None or record.process() is None:
                self._launch()
            else:
                self._record = record

    def keep(self) -> None:
        """Wait for the process, and start it again until its exit is final or it has another owner."""
        is_kept = True
        while is_kept:
            started = time.monotonic()
            try:
                code = self._wait()
                delay = self._backoff.delay_after(time.monotonic() - started)
                is_kept = self._start_again(code, delay)
            except Exception as error:  # such as a full disk: it may pass
                print(f"{self.name} cannot be started again now: {error}", flush=True)
                time.sleep(RETRY_SECONDS)

    def _start_again(self, code: int | None, delay: float) -> bool:
        """Start the process again after `delay` seconds, and return whether it is to be waited for."""
        if not self._record_exit(code):
            return False
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline and self._is_owner():
            time.sleep(POLL_SECONDS)
        with self._folder.changing(self.name):
            if not self._is_owner():
                return False
            self._launch()
        return True

    def _is_owner(self) -> bool:
        return self._folder.owner(self.name) == self._own

    def _wait(self) -> int | None:
        """Return the exit code, 128 + n after signal n; None if it is not a child of this process."""
        if self._child is not None:
            code = self._child.wait()
            return code if code >= 0 else SIGNALLED - code
        while self._record.process() is not None:  # psutil would wait for a zombie until init reaps it
            time.sleep(POLL_SECONDS)
        return None

    def _record_exit(self, code: int | None) -> bool:
        """Record the exit, and return whether the process is to be started again."""
        restarts = self._should_restart(code)
        if restarts:
            reason = "was killed" if code is None else f"was {exit_reason(code, ())}"
            update: dict[str, object] = {"restarts": self._record.restarts + 1, "last_exit": reason}
            print(f"{self.name} {reason}; starting it again", flush=True)
        else:
            update = {"exit_code": code, "has_exited": True}
        with self._folder.changing(self.name):
            if not self._is_owner():
                return False
            self._record = self._record.model_copy(update=update)
            self._folder.write_record(self.name, self._record)
        return restarts

    def _should_restart(self, code: int | None) -> bool:
        """Return whether a signal ended the process: it starts a parent that died again by itself."""
        if self._spec.environment.get(contract.ENV_RESTART) == "false":
            return False
        if code is not None:
            return code > SIGNALLED
        lines = self._folder.last_lines(self.name)  # the exit code is unknown
        return not (lines and lines[-1].startswith((REFUSAL, STOPPED)))

    def _launch(self) -> None:
        home = self._folder.workspace(self.name)
        home.mkdir(mode=0o700, exist_ok=True)
        credentials = {}
        if self._spec.credentials:
            from deploy.project.server_environment import read_credentials

            credentials = read_credentials(self._spec.credentials)
        before = self._record
        restarts = {contract.ENV_RESTARTS: str(before.restarts), contract.ENV_LAST_EXIT: before.last_exit}
        with self._folder.log(self.name).open("ab") as log:
            log_start = before.log_start if before.pid else log.tell()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "fl_app.startup"],
                cwd=home,
                env=os.environ | dict(self._spec.environment) | credentials | restarts,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._record = ProcessRecord.of(psutil.Process(self._child.pid)).model_copy(
            update={
                "restarts": before.restarts,
                "last_exit": before.last_exit,
                "log_start": log_start,
            }
        )
        self._folder.write_record(self.name, self._record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

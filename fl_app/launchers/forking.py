"""The parent's side of the template of job processes; see `fl_app.launchers.template`."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from fl_app.launchers.template import ADOPT, ADOPTED, MAX_MESSAGE, PADDING, START, Request
from fl_app.nvflare_internals.main_programs import Role

START_DELAY_SECONDS = 2.0
"""From the start of a parent to that of its template, so that other parents on this machine start first."""
TIMEOUT_SECONDS = 30.0
"""How long a job waits for the template, which may still be importing."""
MAX_STARTS = 5
"""Number of templates that a parent starts; then every job is a new Python process."""

_PR_SET_CHILD_SUBREAPER = 36

_log = logging.getLogger(__name__)


class NotForkedError(Exception):
    """The job needs a new Python process; the message says why."""


class JobTemplate:
    """The template process of one parent. It is started in the background, or by the first job.

    Args:
        role: whether it is the template of the server's or of a site's job processes.
    """

    def __init__(self, role: Role) -> None:
        self._role = role
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._environment: dict[str, str] = {}
        self._starts = 0

    def prepare(self) -> None:
        """Start the template after START_DELAY_SECONDS, in the background."""
        timer = threading.Timer(START_DELAY_SECONDS, self._prepare)
        timer.name = "job-template"
        timer.daemon = True
        timer.start()

    def _prepare(self) -> None:
        with self._lock, contextlib.suppress(NotForkedError, OSError):
            self._running()

    def fork(self, command: list[str], environment: dict[str, str]) -> int:
        """Fork the process of a job and return its id. It is a child of this process.

        Args:
            command: `sys.executable -m PROGRAM ARGUMENTS`.
            environment: environment of the job process.

        Raises:
            NotForkedError: the job needs a new Python process.
        """
        if command[:2] != [sys.executable, "-m"]:
            raise NotForkedError(f"its command is not {sys.executable} -m")
        request = Request(command, environment, str(Path.cwd()))
        with self._lock:
            try:
                control = self._running()
                connection, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with connection:
                    connection.settimeout(TIMEOUT_SECONDS)
                    with other:
                        socket.send_fds(control, [request.encode()], [other.fileno()])
                    return _adopt(connection)
            except OSError as error:
                raise NotForkedError(f"the template did not answer: {error}") from error

    def stop(self) -> None:
        """Close the connection to the template, which ends it. Job processes go on."""
        if self._control is not None:
            self._control.close()
        self._control = self._process = None

    def _running(self) -> socket.socket:
        """Return the connection to the template; start a template if none runs with this environment."""
        if self._process is not None and self._process.poll() is not None:
            _log.warning("the template of job processes exited with %s", self._process.returncode)
            self.stop()
        elif self._environment != os.environ:
            self.stop()
        if self._control is None:
            if self._starts == MAX_STARTS:
                raise NotForkedError(f"{MAX_STARTS} templates were started")
            self._starts += 1
            self._control = self._start()
        return self._control

    def _start(self) -> socket.socket:
        self._environment = dict(os.environ)
        control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        control.settimeout(TIMEOUT_SECONDS)
        command = [
            sys.executable,
            "-m",
            "fl_app.launchers.template",
            str(other.fileno()),
            self._role,
            PADDING,
        ]
        with other:
            self._process = subprocess.Popen(
                command, pass_fds=[other.fileno()], env=self._environment, start_new_session=True
            )
        threading.Thread(target=self._process.wait, name="job-template", daemon=True).start()  # reap it
        return control


def _adopt(connection: socket.socket) -> int:
    """Make the new job process a child of this process, start it, and return its id."""
    answer = json.loads(connection.recv(MAX_MESSAGE) or b'{"refused": "the template exited"}')
    if "pid" not in answer:
        raise NotForkedError(answer["refused"])
    pid: int = answer["pid"]
    with _child_subreaper():
        connection.send(ADOPT)
        adopted = connection.recv(len(ADOPTED)) == ADOPTED
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        adopted = False
    if not adopted:
        raise NotForkedError("the forked process did not become a child of the parent")
    connection.send(START)
    return pid


@contextlib.contextmanager
def _child_subreaper() -> Iterator[None]:
    """Let this process adopt orphaned descendants. Only for a moment: nothing else would reap them."""
    _prctl(1)
    try:
        yield
    finally:
        _prctl(0)


def _prctl(subreaper: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, subreaper, 0, 0, 0)

"""Run other programs on this machine: for their output, or as a service that listens on a port."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from deploy.errors import Failed, MachineError
from deploy.hosts import LOOPBACK
from deploy.ports import in_use, is_free

ANSWER_SECONDS = 30.0
START_SECONDS = 60.0
STOP_SECONDS = 10.0
LOG_LINES = 10


def output_of(*command: str) -> str | None:
    """Return the stdout of a program; None if it is missing, fails, or takes longer than 30 seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def pip() -> list[str]:
    """Return the command of pip in the environment of Flarefleet.

    Raises:
        MachineError: the environment has no pip, as those of `uv tool install`.
    """
    if find_spec("pip") is None:
        raise MachineError(
            f"{sys.prefix}, the environment of Flarefleet, has no pip. Install Flarefleet again with: "
            "uv tool install --with pip"
        )
    return [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def major_version(*command: str) -> int:
    """Return the major version that a program prints, such as 5 for `v5.6.1`; 0 if there is none."""
    found = re.search(r"(\d+)\.\d", output_of(*command) or "")
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class Command:
    """A program that listens on a port of this machine."""

    name: str
    arguments: Sequence[str]
    port: int
    ready: str
    """The path that returns 200 if the program is ready."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The URL of the program."""
        return f"http://{LOOPBACK}:{self.port}"


class RunningProgram:
    """A started program, whose output goes to `log`."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command.arguments,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C must not reach it
            )

    def wait_until_ready(self) -> None:
        """Wait until the program is ready.

        Raises:
            Failed: it exited, or is not ready within a minute; the message contains the end of its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            self.check_running()
            if time.monotonic() > deadline:
                raise Failed(self._with_log(f"is not ready after {START_SECONDS:.0f} s"))
            time.sleep(0.1)

    def check_running(self) -> None:
        """Check that the program is running.

        Raises:
            Failed: it has exited.
        """
        code = self._process.poll()
        if code is not None:
            raise Failed(self._with_log(f"exited (exit status {code})"))

    def wait(self) -> None:
        """Wait until the program exits."""
        self._process.wait()

    def stop(self) -> None:
        """Terminate the program; kill it after a timeout."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        with closing(http.client.HTTPConnection(LOOPBACK, self.command.port, timeout=2)) as connection:
            try:
                connection.request("GET", self.command.ready)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def _with_log(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([f"{self.command.name} {what}. The end of {self.log}:", *(f"  {x}" for x in lines)])


def refuse_port_in_use(port: int, program: str, option: str) -> None:
    """Check that a port of this machine is free.

    Raises:
        MachineError: it is in use.
    """
    if not is_free(port):
        raise MachineError(f"{in_use(port)}. Choose another port for {program}: {option} PORT")

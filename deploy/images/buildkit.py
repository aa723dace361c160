"""Build images with a docker program that supports BuildKit. The Docker SDK supports only the old builder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.docker_engine import docker_environment
from deploy.errors import Failed, MachineError
from deploy.programs import major_version, output_of

FIRST_VERSION_WITH_BUILDX = 23
"""Since this version docker needs the plugin buildx to build. Older versions include BuildKit."""
ERROR_LINES = 30
"""Lines of a failed step's output in the error message."""

DISK_FULL = "no space left on device"
MISSING = (
    "No docker program on PATH can build images. Install Docker's plugin buildx "
    "(docs.docker.com/build/install-buildx), or load built images: flarefleet images load FILE"
)


@dataclass(frozen=True)
class BuildStep:
    """The start or end of one step of a build."""

    image: str
    title: str
    """Stage and number, for example `packages 2/3`."""
    state: Literal["started", "done", "cached"]
    seconds: float = 0.0


BuildProgress = Callable[[BuildStep], None]


@dataclass(frozen=True)
class Build:
    """An image to build."""

    tag: str
    """Name of the image."""
    target: str
    """Stage of the Dockerfile."""
    dockerfile: Path
    context: Path
    """Folder of the build context."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cached: bool = True
    """Whether to use the cache of earlier builds."""


@dataclass(frozen=True)
class Builder:
    """A docker program that builds with BuildKit."""

    command: tuple[str, ...]
    """Its command line without the options of a build."""

    def run(self, build: Build, progress: BuildProgress | None = None) -> None:
        """Build an image.

        Raises:
            Failed: a step failed. The message has its last lines.
            MachineError: the disk is full.
        """
        output = _BuildOutput(build.tag, progress or (lambda _step: None))
        with subprocess.Popen(
            [*self.command, *_options(build)],
            env=docker_environment() | {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                output.read(line.rstrip("\n"))
        if process.returncode != 0:
            raise output.failure()


def find_builder() -> Builder:
    """Return the first docker program on PATH that can build.

    Raises:
        MachineError: there is none.
    """
    for docker in _programs():
        if output_of(docker, "buildx", "version") is not None:
            return Builder((docker, "buildx", "build", "--load"))
        if 0 < major_version(docker, "--version") < FIRST_VERSION_WITH_BUILDX:
            return Builder((docker, "build"))
    raise MachineError(MISSING)


def find_docker() -> str:
    """Return the first docker program on PATH.

    Raises:
        MachineError: there is none.
    """
    if (docker := next(_programs(), None)) is None:
        raise MachineError("The docker program was not found on PATH. Install Docker's command line.")
    return docker


def _options(build: Build) -> Iterator[str]:
    yield from ("--progress", "plain", "--file", str(build.dockerfile))
    yield from ("--target", build.target, "--tag", build.tag)
    for option, values in (("--build-arg", build.arguments), ("--label", build.labels)):
        for key, value in values.items():
            yield from (option, f"{key}={value}")
    if not build.cached:
        yield "--no-cache"
    yield str(build.context)


def _programs() -> Iterator[str]:
    seen = set()
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found and (real := Path(found).resolve()) not in seen:
            seen.add(real)
            yield found


_LINE = re.compile(r"#(?P<number>\d+) (?P<text>.*)")
_TITLE = re.compile(r"\[(?P<title>[^\]]+)\]")
_DONE = re.compile(r"DONE (?P<seconds>[\d.]+)s")


class _BuildOutput:
    """Parser of the output of `--progress plain`: reports steps, and keeps the last lines for an error."""

    def __init__(self, image: str, progress: BuildProgress) -> None:
        self._image = image
        self._progress = progress
        self._titles: dict[str, str] = {}
        self._lines: dict[str, deque[str]] = {}
        self._failed: str | None = None
        self._last: deque[str] = deque(maxlen=ERROR_LINES)

    def read(self, line: str) -> None:
        """Parse one line."""
        self._last.append(line)
        if not (found := _LINE.fullmatch(line)):
            return
        number, text = found["number"], found["text"]
        if title := _TITLE.match(text):
            if number not in self._titles and title["title"].split()[0] != "internal":
                self._titles[number] = title["title"]
                self._tell(number, "started")
        elif done := _DONE.fullmatch(text):
            self._tell(number, "done", float(done["seconds"]))
        elif text == "CACHED":
            self._tell(number, "cached")
        elif text.startswith("ERROR"):
            self._failed = number
        elif not text.startswith("sha256:"):
            self._lines.setdefault(number, deque(maxlen=ERROR_LINES)).append(text)

    def failure(self) -> Failed | MachineError:
        """Return the error to raise."""
        lines = list(self._lines.get(self._failed or "", ())) or list(self._last)
        title = self._titles.get(self._failed or "")
        text = "\n".join(lines)
        if DISK_FULL in "\n".join([text, *self._last]).lower():
            return MachineError(
                f"{self._image} was not built: the engine's disk is full. Free space, for example with "
                "docker builder prune, and build again."
            )
        where = f" in step [{title}]" if title else ""
        return Failed(f"{self._image} was not built: docker failed{where}:\n{text}")

    def _tell(self, number: str, state: Literal["started", "done", "cached"], seconds: float = 0.0) -> None:
        if title := self._titles.get(number):
            self._progress(BuildStep(self._image, title, state, seconds))

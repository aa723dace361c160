"""A docker program that can build with BuildKit, and what it says while it builds.

The SDK's own build call knows the old builder alone; for everything else the SDK is used.
"""

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

from deploy.errors import Failed, MachineError

FIRST_WITHOUT_BUILTIN = 23
"""From this release on the docker program builds through the plugin buildx; before, BuildKit is in it."""
LINES_SHOWN = 30
"""How much of what a failed step said is shown."""

DISK_FULL = "no space left on device"
MISSING = (
    "No docker program that can build was found. Install Docker's plugin buildx "
    "(docs.docker.com/build/install-buildx), or load finished images: flarefleet images load FILE"
)


@dataclass(frozen=True)
class Step:
    """One step of a build, as it begins or ends."""

    image: str
    title: str
    """The stage and its number: `packages 2/3`."""
    state: Literal["started", "done", "cached"]
    seconds: float = 0.0


Progress = Callable[[Step], None]


@dataclass(frozen=True)
class Build:
    """What to build.

    Args:
        tag: the image's name.
        target: the stage of the Dockerfile.
        dockerfile: its path.
        context: the folder that the build may see.
        arguments: build arguments.
        labels: labels of the image.
        cached: whether steps of earlier builds may be taken.
    """

    tag: str
    target: str
    dockerfile: Path
    context: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cached: bool = True


@dataclass(frozen=True)
class Builder:
    """A docker program that builds with BuildKit.

    Args:
        command: how it is started, up to the options of a build.
    """

    command: tuple[str, ...]

    def run(self, build: Build, progress: Progress | None = None) -> None:
        """Build an image.

        Raises:
            Failed: a step failed; with its last lines.
            MachineError: the disk is full.
        """
        transcript = _Transcript(build.tag, progress or (lambda _step: None))
        with subprocess.Popen(
            [*self.command, *_options(build)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                transcript.read(line.rstrip("\n"))
        if process.returncode != 0:
            raise transcript.failure()


def find_builder() -> Builder:
    """The docker program of this machine that can build.

    Raises:
        MachineError: there is none.
    """
    for docker in _programs():
        if _answers(docker, "buildx", "version"):
            return Builder((docker, "buildx", "build", "--load"))
        if 0 < _major_version(docker) < FIRST_WITHOUT_BUILTIN:
            return Builder((docker, "build"))
    raise MachineError(MISSING)


def find_docker() -> str:
    """Any docker program of this machine.

    Raises:
        MachineError: there is none.
    """
    if (docker := next(_programs(), None)) is None:
        raise MachineError("The docker program was not found on PATH. Install Docker's command line.")
    return docker


def environment() -> dict[str, str]:
    """The environment of the docker program: the same engine as the SDK's, and BuildKit."""
    engine = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    return {**os.environ, "DOCKER_HOST": engine, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}


def _options(build: Build) -> Iterator[str]:
    yield from (
        "--progress",
        "plain",
        "--file",
        str(build.dockerfile),
        "--target",
        build.target,
        "--tag",
        build.tag,
    )
    for option, values in (("--build-arg", build.arguments), ("--label", build.labels)):
        for key, value in values.items():
            yield from (option, f"{key}={value}")
    if not build.cached:
        yield "--no-cache"
    yield str(build.context)


def _programs() -> Iterator[str]:
    """Every program `docker` on PATH, in its order."""
    seen = set()
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found and (real := Path(found).resolve()) not in seen:
            seen.add(real)
            yield found


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _major_version(docker: str) -> int:
    """Of `Docker version 20.10.24+dfsg1, build 297e128` the 20; 0 if it does not answer."""
    try:
        answer = subprocess.run(
            [docker, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"version (\d+)\.", answer.stdout)
    return int(found[1]) if found else 0


_LINE = re.compile(r"#(?P<number>\d+) (?P<text>.*)")
_TITLE = re.compile(r"\[(?P<title>[^\]]+)\]")
_DONE = re.compile(r"DONE (?P<seconds>[\d.]+)s")


class _Transcript:
    """Reads the lines of `--progress plain`: steps for the person who waits, the last lines for an error."""

    def __init__(self, image: str, progress: Progress) -> None:
        self._image = image
        self._progress = progress
        self._titles: dict[str, str] = {}
        self._said: dict[str, deque[str]] = {}
        self._failed: str | None = None
        self._last: deque[str] = deque(maxlen=LINES_SHOWN)

    def read(self, line: str) -> None:
        """Take in one line."""
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
            self._said.setdefault(number, deque(maxlen=LINES_SHOWN)).append(text)

    def failure(self) -> Failed | MachineError:
        """What to tell the user."""
        said = list(self._said.get(self._failed or "", ())) or list(self._last)
        title = self._titles.get(self._failed or "")
        text = "\n".join(said)
        if DISK_FULL in "\n".join([text, *self._last]).lower():
            return MachineError(
                f"{self._image} was not built: the engine's disk is full. Free some, for example with docker "
                "builder prune, and run again."
            )
        where = f" in its step [{title}]" if title else ""
        return Failed(f"{self._image} was not built: docker failed{where}:\n{text}")

    def _tell(self, number: str, state: Literal["started", "done", "cached"], seconds: float = 0.0) -> None:
        if title := self._titles.get(number):
            self._progress(Step(self._image, title, state, seconds))

"""A parent process for tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.ports import free_ports
from tests.federation.federation import ask


class Parent:
    """A server or site that runs as `python -m fl_app.startup`.

    Args:
        kit: Startup kit.
        workspace: Workspace; the log is written beside it.
        environment: Further FLARE_ variables.
    """

    def __init__(self, kit: Path, workspace: Path, environment: Mapping[str, str] | None = None) -> None:
        parent_port, self.telemetry_port = free_ports(2)
        workspace.parent.mkdir(parents=True, exist_ok=True)
        self.log = workspace.with_name(f"{workspace.name}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fl_app.startup"],
                env={
                    **os.environ,
                    "FLARE_KIT": str(kit),
                    "FLARE_WORKSPACE": str(workspace),
                    "FLARE_PARENT_PORT": str(parent_port),
                    "FLARE_TELEMETRY_HOST": "127.0.0.1",
                    "FLARE_TELEMETRY_PORT": str(self.telemetry_port),
                    **(environment or {}),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def readiness(self) -> dict[str, object]:
        """Return the answer of /readyz; empty if the parent does not answer."""
        try:
            return dict(json.loads(ask("127.0.0.1", self.telemetry_port, "/readyz")[1]))
        except OSError:
            return {}

    def is_ready(self) -> bool:
        """Tell whether /readyz reports that the parent is ready."""
        return self.readiness().get("ready") is True

    def descendants(self) -> list[psutil.Process]:
        """Return all processes below the supervisor."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for the exit code."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Send SIGTERM and wait for the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """Kill the parent and all of its processes."""
        if self.process.poll() is None:
            for process in self.descendants():
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended with another one
                    process.kill()
            self.process.kill()
            self.process.wait()

    def last_line(self) -> str:
        """Return the last line of the log."""
        return self.log.read_text(encoding="utf-8").strip().splitlines()[-1]

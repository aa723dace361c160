"""A parent of NVFlare's that a test starts, asks and ends by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from deploy.runtimes.ports import free_ports
from tests.federation.federation import ask


class Parent:
    """A server or site that a test starts by itself, by `python -m fl_app.startup`.

    Args:
        kit: its kit.
        workspace: its workspace.
        environment: further FLARE_ variables.
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
        """What /readyz says; nothing while nobody answers."""
        try:
            return dict(json.loads(ask("127.0.0.1", self.telemetry_port, "/readyz")[1]))
        except OSError:
            return {}

    def is_ready(self) -> bool:
        """Whether /readyz says yes."""
        return self.readiness().get("ready") is True

    def below(self) -> list[psutil.Process]:
        """Every process below its supervisor."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def wait(self, seconds: float = 30.0) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def stop(self) -> int:
        """Ask it to stop, and wait for its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """Whatever happens, leave nothing behind."""
        if self.process.poll() is None:
            for process in self.below():
                process.kill()
            self.process.kill()
            self.process.wait()

    def last_line(self) -> str:
        """The last line that it wrote."""
        return self.log.read_text(encoding="utf-8").strip().splitlines()[-1]

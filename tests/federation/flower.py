"""A federation whose server and sites have Flower and the Flower apps of the tests."""

from __future__ import annotations

from pathlib import Path

import psutil

from deploy.runtimes.protocol import FederationStatus
from maintenance.flower_environment import create
from tests.federation.federation import Federation

ROOT = Path(__file__).parents[2]


class FlowerFederation(Federation):
    """A federation whose server and sites run in .venv-flower."""

    def up(self, timeout: float | None = None) -> FederationStatus:
        up = self.flarefleet("up", timeout=timeout or 300)
        assert up.returncode == 0, up.stderr
        return self.status()

    def command(self, *arguments: str) -> list[str]:
        return [str(create()), *super().command(*arguments)[1:]]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}  # sites import the apps of the tests

    def flower_processes(self) -> list[str]:
        """Return the command lines of Flower's processes in this federation."""
        return [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline", "environ"])
            if str(self.folder) in str((process.info["environ"] or {}).get("FLWR_HOME", ""))
        ]

"""A federation whose server and sites have Flower and the Flower apps of the tests."""

from __future__ import annotations

from pathlib import Path

import psutil

from maintenance.flower_environment import create
from tests.federation.other_environment import ROOT, OtherEnvironment


class FlowerFederation(OtherEnvironment):
    """A federation in .venv-flower that can import the Flower apps of the tests."""

    def python(self) -> Path:
        return create()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": str(ROOT)}

    def flower_processes(self) -> list[str]:
        """Return the command lines of Flower's processes in this federation."""
        return [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline", "environ"])
            if str(self.folder) in str((process.info["environ"] or {}).get("FLWR_HOME", ""))
        ]

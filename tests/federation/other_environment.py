"""Tests and federations in another Python environment."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path

from deploy.runtimes.protocol import FederationStatus
from tests.federation.federation import Federation

ROOT = Path(__file__).parents[2]


class OtherEnvironment(Federation, ABC):
    """A federation whose server, sites and commands run in another Python environment."""

    @abstractmethod
    def python(self) -> Path:
        """Return the Python of the environment."""

    def up(self, timeout: float | None = None) -> FederationStatus:
        self.run("up", timeout=timeout or 300)
        return self.status()

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python()), *super().command(*arguments)[1:]]


def run_tests(python: Path, *tests: str) -> None:
    """Run tests with `python`.

    Raises:
        AssertionError: a test failed or was skipped.
    """
    finished = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout, finished.stdout

"""Run tests in another Python environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


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

"""Runs tests in another Python environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pass_where(python: Path, *tests: str) -> None:
    """Run tests with `python`; all must pass, and none may be skipped.

    Raises:
        AssertionError: a test failed; with the output of pytest.
    """
    ended = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "skipped" not in ended.stdout

"""Tests that need an environment of their own, run there by a test of this one."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pass_where(python: Path, *tests: str) -> None:
    """Run tests in the environment of `python`; each must pass, and none be skipped.

    Raises:
        AssertionError: with what pytest printed.
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

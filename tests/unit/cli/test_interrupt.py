"""The exit code of a command that is interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTED = """
from deploy.cli import app

def interrupted():
    exec("raise KeyboardInterrupt", {})

app.app = interrupted
app.main()
"""
"""A command interrupted in the code that `dataclasses` generates, as while it imports a module."""


@pytest.mark.parametrize("is_module", [True, False], ids=["module", "script"])
def test_an_interrupted_command_exits_with_its_code_and_not_by_the_signal(
    is_module: bool, tmp_path: Path
) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED, encoding="utf-8")
    program = ["-m", "interrupted"] if is_module else ["interrupted.py"]
    done = subprocess.run([sys.executable, *program], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 130

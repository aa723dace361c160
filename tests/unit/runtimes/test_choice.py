"""Selection of the runtime of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError
from deploy.runtimes import choice
from deploy.workspace import Workspace

PROJECT: Any = None


def test_an_unknown_runtime_is_rejected_with_the_available_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runtime slurm; available: process, docker, kubernetes"):
        choice.open_runtime("slurm", PROJECT, Workspace(tmp_path))


def test_the_current_runtime_is_recorded_until_it_is_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert choice.remembered(workspace) is None

    choice.remember(workspace, "docker")
    assert choice.remembered(workspace) == "docker"

    choice.remember(workspace, None)
    choice.remember(workspace, None)
    assert choice.remembered(workspace) is None


def test_an_invalid_record_is_ignored(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    choice.remember(workspace, "process")
    workspace.run("current").write_text("\0rubbish")

    assert choice.remembered(workspace) is None

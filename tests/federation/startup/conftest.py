"""Kits for parents, and running servers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fl_app.checks.exit_codes import Exit
from tests.federation.federation import SERVER, Federation, write_project
from tests.federation.parent import Parent
from tests.waiting import eventually

Start = Callable[..., Parent]
CopyKit = Callable[[str], Path]


@pytest.fixture(scope="package")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A provisioned federation; tests must not change its kits."""
    return Federation(write_project(tmp_path_factory.mktemp("clinics"), sites=2).parent)


@pytest.fixture
def kit(federation: Federation, tmp_path: Path) -> CopyKit:
    """A function that copies a participant's kit, so that a test can change it."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(federation.kit(name), tmp_path / "kits" / name))

    return copy


@pytest.fixture
def server(federation: Federation, tmp_path: Path, start: Start) -> Parent:
    """The federation's server, which is ready."""
    parent = start(federation.kit(SERVER), tmp_path / SERVER)
    eventually(parent.is_ready, what="the server is ready")
    return parent


def assert_cannot_run(parent: Parent, code: Exit, *texts: str) -> None:
    """Assert that the parent exits with `code` and that its last line contains these texts."""
    assert parent.wait() == code, parent.log.read_text()
    line = parent.last_line()
    assert line.startswith("flarefleet: cannot run: ")
    assert code.name in line
    for text in texts:
        assert text in line
    assert "Traceback" not in parent.log.read_text()

"""Kits for parents, and a running server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.federation.federation import SERVER, Federation, write_project
from tests.federation.parent import Parent
from tests.waiting import eventually

Start = Callable[..., Parent]


@pytest.fixture(scope="package")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A provisioned federation; tests must not change its kits."""
    return Federation(write_project(tmp_path_factory.mktemp("clinics"), sites=2).parent)


@pytest.fixture
def kit(federation: Federation, tmp_path: Path) -> Callable[[str], Path]:
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

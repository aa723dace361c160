"""Provisioned federations: a copy for each test, or a shared one that tests only read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.provision.federation import Federation


@pytest.fixture
def federation(untouched: Federation, tmp_path: Path) -> Federation:
    """A copy of a provisioned federation with two sites."""
    subprocess.run(["cp", "-a", untouched.folder / "workspace", tmp_path], check=True)
    return untouched.copy_to(tmp_path)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A provisioned federation with two sites, shared and read-only."""
    federation = Federation(tmp_path_factory.mktemp("untouched"), "site-1", "site-2")
    federation.provision()
    return federation

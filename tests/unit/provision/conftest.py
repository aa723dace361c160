"""Federations for these tests: one of its own for each, or one that nobody changes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.provision.federation import Federation


@pytest.fixture
def federation(untouched: Federation, tmp_path: Path) -> Federation:
    """Two sites, provisioned; the test may change it."""
    subprocess.run(["cp", "-a", untouched.folder / "workspace", tmp_path], check=True)
    return untouched.copy_to(tmp_path)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """Two sites, provisioned; nobody changes it."""
    federation = Federation(tmp_path_factory.mktemp("untouched"), "site-1", "site-2")
    federation.provision()
    return federation

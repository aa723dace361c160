"""Fixtures: a server's parent without a network, and a clock that the test sets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.survival.server import Clock, Server


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Return the parent of a server in an empty folder."""
    return Server(tmp_path)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()

"""promtool, which is part of Prometheus and tests rules."""

from __future__ import annotations

import shutil

import pytest

from tests.lacking import leave_out


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool."""
    found = shutil.which("promtool")
    if found is None:
        leave_out("promtool is not on PATH; it is part of Prometheus: apt-get install prometheus")
    return found

"""promtool, which comes with Prometheus: it checks rules and configurations, and plays alerts through."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """The program; without it a test is skipped, or fails where CI=true."""
    found = shutil.which("promtool")
    if found is None:
        missing = "no promtool on PATH: it comes with Prometheus (apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found

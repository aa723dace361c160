"""promtool, which is part of Prometheus and tests rules."""

from __future__ import annotations

import shutil

import pytest

from tests.skipping import skip_or_fail_in_ci


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        skip_or_fail_in_ci("promtool is not on PATH; it is part of Prometheus: apt-get install prometheus")
    return found

"""Skip a test if this machine lacks something that it needs; in CI the test fails instead."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI") == "true"


def skip_or_fail_in_ci(reason: str) -> NoReturn:
    """Skip the test; in CI, which must have everything, fail it."""
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)

"""What every unit test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test sets in the environment, or lets the code set, is gone after it.

    Whatever is left reaches the processes that later tests of the same worker start: a federation's parents.
    """
    with mock.patch.dict(os.environ):
        yield

"""The guard leaves good jobs alone: each ends as without a guard, with the same models."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.guard.good_jobs import AVERAGING
from tests.unit.guard.good_models import MODELS
from tests.unit.guard.good_workflows import WORKFLOWS
from tests.unit.guard.in_process import Ended, Job, run

GOOD_JOBS = AVERAGING | MODELS | WORKFLOWS
RANDOM = (AVERAGING["SVTPrivacy"], WORKFLOWS["k-means"], WORKFLOWS["support vectors"])
"""Jobs in which no two runs have the same models: numbers are random, or the first answer comes first."""
LOGS_ERRORS = (WORKFLOWS["one of three sites fails where two are enough"],)
"""Jobs in which NVFlare logs an error although all is well."""


@pytest.mark.parametrize("make", GOOD_JOBS.values(), ids=list(GOOD_JOBS))
def test_a_good_job_ends_as_without_a_guard(
    make: Callable[[], Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stock = run(make(), tmp_path / "stock", guarded=False)
    assert stock.panics == []
    assert stock.models or make in WORKFLOWS.values()
    assert not stock.models or not is_equal(stock.initial, stock.models[-1])
    assert make in LOGS_ERRORS or errors_in(caplog) == []

    kit = run(make(), tmp_path / "kit")

    assert kit.panics == []
    assert make in LOGS_ERRORS or errors_in(caplog) == []
    if make not in RANDOM:
        assert_equal(stock.models, kit.models)
    assert files_of(stock) == files_of(kit)


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def assert_equal(one: Any, other: Any) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_equal(value, other[name])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for value, twin in zip(one, other, strict=True):
            assert_equal(value, twin)
    elif hasattr(one, "is_sparse"):
        assert one.dtype == other.dtype
        assert_equal(one.to_dense().double().numpy(), other.to_dense().double().numpy())
    elif isinstance(one, bytes):
        assert one == other
    else:
        np.testing.assert_allclose(one, other, rtol=1e-6)


def is_equal(one: Any, other: Any) -> bool:
    try:
        assert_equal(one, other)
    except AssertionError:
        return False
    return True


def files_of(ended: Ended) -> set[str]:
    """Return the files that the job wrote on the server, such as its model."""
    return {str(file.relative_to(ended.folder)) for file in ended.folder.rglob("*") if file.is_file()}

"""Comparisons of large arrays: in blocks, with little memory beside them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fl_app.guard.arrays import equal, root_mean_square

SIZE = 2_500_001


def array(**changes: float) -> Any:
    made = np.linspace(-1, 1, SIZE, dtype=np.float32)
    for position, value in changes.items():
        made[int(position.removeprefix("at"))] = value
    return made


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, lambda one: torch.from_numpy(one).bfloat16()])
@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        ({}, {}, True),
        ({"at0": 5.0}, {}, False),
        ({"at2500000": 5.0}, {}, False),
        ({"at2000000": np.nan}, {"at2000000": np.nan}, True),
        ({"at2000000": np.nan}, {}, False),
        ({"at2000000": np.inf}, {"at2000000": np.inf}, True),
    ],
)
def test_large_arrays_are_equal_number_by_number(
    kind: Callable[[Any], Any], one: dict[str, float], other: dict[str, float], is_equal: bool
) -> None:
    assert equal(kind(array(**one)), kind(array(**other))) is is_equal


def test_arrays_of_other_shapes_differ() -> None:
    assert not equal(array(), array().reshape(1, -1))
    assert not equal(array(), array()[:-1])


def test_comparisons_of_a_large_array_need_little_memory() -> None:
    one, other = array(), array(at2500000=5.0)
    tracemalloc.start()
    assert not equal(one, other)
    assert root_mean_square({"w": one}) == pytest.approx(3**-0.5, rel=1e-3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < one.nbytes

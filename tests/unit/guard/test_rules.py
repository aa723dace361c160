"""Each rule for results, on arrays of NumPy and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fl_app.guard.arrays import describe
from fl_app.guard.rules import (
    MAX_INTEGER,
    MIN_INTEGER,
    SIZE_ALLOWANCE,
    find_large_integer,
    find_mismatch,
    find_not_finite,
    find_oversize,
    size_of,
)

SENT = describe({"a": np.zeros((2, 3)), "b": torch.zeros(4)})

FINITE = {
    "float64": np.ones(5),
    "float32": np.ones(5, dtype=np.float32),
    "float16 whose sum overflows": np.full(1000, 6e4, dtype=np.float16),
    "float32 whose sum overflows": np.full(10, 3e38, dtype=np.float32),
    "complex": np.ones(3, dtype=complex),
    "integers": np.ones(3, dtype=np.int64),
    "booleans": np.ones(3, dtype=bool),
    "text": np.array(["a", "b"]),
    "objects": np.array([None, object()], dtype=object),
    "empty": np.zeros(0),
    "a scalar": np.float64(3.0),
    "a float": 3.0,
    "an int": 3,
    "a list": [1.0, float("nan")],
    "tensor": torch.ones(5),
    "bfloat16": torch.ones(5, dtype=torch.bfloat16),
    "half whose sum overflows": torch.full((1000,), 6e4, dtype=torch.float16),
    "integer tensor": torch.ones(3, dtype=torch.int32),
    "boolean tensor": torch.ones(3, dtype=torch.bool),
    "parameter": torch.nn.Parameter(torch.ones(3)),
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.empty(3, device="meta"),
    "not loaded": object(),
}


@pytest.mark.parametrize("value", FINITE.values(), ids=FINITE.keys())
def test_finite_numbers_and_other_values_are_accepted(value: Any) -> None:
    assert find_not_finite({"w": value}) is None


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, np.nan]),
        np.array([np.inf, 1.0], dtype=np.float32),
        np.array([np.inf, -np.inf])[:1],
        np.array([1 + 1j, complex("nan")]),
        np.float32("nan"),
        float("inf"),
        torch.tensor([1.0, float("nan")]),
        torch.tensor([float("-inf")], dtype=torch.bfloat16),
        torch.nn.Parameter(torch.tensor([float("nan"), 2.0])),
        torch.tensor([[float("nan"), 0.0]]).to_sparse(),
    ],
    ids=str,
)
def test_a_number_that_is_not_finite_is_reported_with_its_parameter(value: Any) -> None:
    finding = find_not_finite({"good": np.ones(3), "bad": value})
    assert finding is not None
    assert finding.key == "bad"
    assert finding.what.startswith("returned 1 number that is NaN or infinite")


def test_infinities_of_opposite_signs_are_found() -> None:
    finding = find_not_finite({"w": np.array([np.inf, -np.inf, 1.0])})
    assert finding is not None
    assert "2 numbers" in finding.what


@pytest.mark.parametrize("is_complete", [True, False])
def test_arrays_of_numpy_and_pytorch_match(is_complete: bool) -> None:
    assert find_mismatch(SENT, describe({"a": torch.ones(2, 3), "b": np.ones(4)}), is_complete) is None


def test_only_differences_may_leave_parameters_out() -> None:
    returned = describe({"a": np.ones((2, 3))})
    assert find_mismatch(SENT, returned, is_complete=False) is None
    finding = find_mismatch(SENT, returned, is_complete=True)
    assert finding is not None
    assert finding.key == "b"


def test_unknown_parameters_are_named_and_counted() -> None:
    more = {f"x{number}": np.ones(1) for number in range(5)}
    finding = find_mismatch(SENT, describe({"a": np.ones((2, 3)), "b": np.ones(4), **more}), is_complete=True)
    assert finding is not None
    assert finding.key == "x0"
    assert "5 parameters (x0, x1, x2 and 2 more)" in finding.what


def test_excluded_parameters_may_be_returned() -> None:
    returned = describe({"a": np.ones((2, 3)), "b": np.ones(4), "head.w": np.ones(9)})
    assert find_mismatch(SENT, returned, is_complete=True, excluded="head") is None


def test_a_different_shape_is_reported_with_both_shapes() -> None:
    finding = find_mismatch(SENT, describe({"a": np.ones(6), "b": np.ones(4)}), is_complete=True)
    assert finding is not None
    assert finding.key == "a"
    assert "shape (6,) and received (2, 3)" in finding.what


def test_an_array_that_is_not_loaded_is_not_compared() -> None:
    assert find_mismatch(SENT, describe({"a": object(), "b": object()}), is_complete=True) is None


@pytest.mark.parametrize("number", [0, True, MAX_INTEGER, MIN_INTEGER, 2.0**80, "9" * 40, None, np.int64(5)])
def test_a_number_that_a_message_can_carry_is_accepted(number: Any) -> None:
    assert find_large_integer({"meta": {"n": [number]}}) is None


@pytest.mark.parametrize("number", [MAX_INTEGER + 1, MIN_INTEGER - 1, 1 << 200])
def test_an_integer_beyond_64_bits_is_reported_with_its_path(number: int) -> None:
    finding = find_large_integer({"meta": {"train": [{"steps": number}]}})
    assert finding is not None
    assert finding.key == "meta.train[0].steps"


def test_the_search_in_a_recursive_document_ends() -> None:
    document: dict[str, Any] = {}
    document["again"] = document
    assert find_large_integer(document) is None


def test_a_result_much_larger_than_the_model_is_reported() -> None:
    much = np.zeros(SIZE_ALLOWANCE // 8 + 1000)
    assert find_oversize({"data": {"w": np.zeros(10)}, "meta": {"c": np.zeros(10)}}, 80) is None
    finding = find_oversize({"data": {"w": np.zeros(10)}, "meta": {"dataset": much}}, 80)
    assert finding is not None
    assert "64 MiB for a model of 0 MiB" in finding.what


def test_a_size_counts_nested_arrays_tensors_and_texts() -> None:
    assert size_of({"a": np.zeros(4), "b": [torch.zeros(2), "abc", b"de"], "c": 1}) == 32 + 8 + 3 + 2 + 8

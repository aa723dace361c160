"""What a site may return: each rule on arrays of NumPy and of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fl_app.guard.rules import (
    LARGEST,
    SIZE_ALLOWANCE,
    SMALLEST,
    describe,
    differing,
    not_finite,
    size_of,
    too_large,
    unsendable_integer,
)

SENT = describe({"a": np.zeros((2, 3)), "b": torch.zeros(4)})

SOUND = {
    "float64": np.ones(5),
    "float32": np.ones(5, dtype=np.float32),
    "float16 whose sum overflows": np.full(1000, 6e4, dtype=np.float16),
    "float32 whose sum overflows": np.full(10, 3e38, dtype=np.float32),
    "complex": np.ones(3, dtype=complex),
    "integers": np.ones(3, dtype=np.int64),
    "truth": np.ones(3, dtype=bool),
    "text": np.array(["a", "b"]),
    "objects": np.array([None, object()], dtype=object),
    "nothing": np.zeros(0),
    "a scalar": np.float64(3.0),
    "a float": 3.0,
    "an int": 3,
    "a list": [1.0, float("nan")],
    "tensor": torch.ones(5),
    "bfloat16": torch.ones(5, dtype=torch.bfloat16),
    "half whose sum overflows": torch.full((1000,), 6e4, dtype=torch.float16),
    "integer tensor": torch.ones(3, dtype=torch.int32),
    "truth tensor": torch.ones(3, dtype=torch.bool),
    "parameter": torch.nn.Parameter(torch.ones(3)),
    "sparse": torch.eye(3).to_sparse(),
    "meta": torch.empty(3, device="meta"),
    "not here yet": object(),
}


@pytest.mark.parametrize("value", SOUND.values(), ids=SOUND.keys())
def test_what_is_finite_or_no_number_passes(value: Any) -> None:
    assert not_finite({"w": value}) is None


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
def test_one_number_that_is_not_finite_is_found_and_its_parameter_named(value: Any) -> None:
    breach = not_finite({"good": np.ones(3), "bad": value})
    assert breach is not None
    assert breach.key == "bad"
    assert breach.what.startswith("returned 1 number that is NaN or infinite")


def test_infinities_that_cancel_out_are_found() -> None:
    breach = not_finite({"w": np.array([np.inf, -np.inf, 1.0])})
    assert breach is not None
    assert "2 numbers" in breach.what


@pytest.mark.parametrize("whole", [True, False])
def test_the_same_model_passes_whatever_library_its_arrays_are_of(whole: bool) -> None:
    assert differing(SENT, describe({"a": torch.ones(2, 3), "b": np.ones(4)}), whole) is None


def test_a_difference_may_leave_parameters_out_and_weights_may_not() -> None:
    returned = describe({"a": np.ones((2, 3))})
    assert differing(SENT, returned, whole=False) is None
    breach = differing(SENT, returned, whole=True)
    assert breach is not None
    assert breach.key == "b"


def test_parameters_that_the_model_does_not_have_are_named_and_counted() -> None:
    more = {f"x{number}": np.ones(1) for number in range(5)}
    breach = differing(SENT, describe({"a": np.ones((2, 3)), "b": np.ones(4), **more}), whole=True)
    assert breach is not None
    assert breach.key == "x0"
    assert "5 parameters (x0, x1, x2 and 2 more)" in breach.what


def test_parameters_that_are_not_averaged_may_come_all_the_same() -> None:
    returned = describe({"a": np.ones((2, 3)), "b": np.ones(4), "head.w": np.ones(9)})
    assert differing(SENT, returned, whole=True, excluded="head") is None


def test_another_shape_is_named_with_both_shapes() -> None:
    breach = differing(SENT, describe({"a": np.ones(6), "b": np.ones(4)}), whole=True)
    assert breach is not None
    assert breach.key == "a"
    assert "shape (6,), and was sent (2, 3)" in breach.what


def test_what_has_no_shape_yet_is_not_compared() -> None:
    assert differing(SENT, describe({"a": object(), "b": object()}), whole=True) is None


@pytest.mark.parametrize("number", [0, True, LARGEST, SMALLEST, 2.0**80, "9" * 40, None, np.int64(5)])
def test_what_a_message_can_carry_passes(number: Any) -> None:
    assert unsendable_integer({"meta": {"n": [number]}}) is None


@pytest.mark.parametrize("number", [LARGEST + 1, SMALLEST - 1, 1 << 200])
def test_an_integer_that_no_message_can_carry_is_found_with_its_path(number: int) -> None:
    breach = unsendable_integer({"meta": {"train": [{"steps": number}]}})
    assert breach is not None
    assert breach.key == "meta.train[0].steps"


def test_a_document_within_itself_is_not_followed_for_ever() -> None:
    document: dict[str, Any] = {}
    document["again"] = document
    assert unsendable_integer(document) is None


def test_a_result_much_larger_than_its_model_is_too_large() -> None:
    model = {"w": np.zeros(10)}
    much = np.zeros(SIZE_ALLOWANCE // 8 + 1000)
    assert too_large({"data": {"w": np.zeros(10)}, "meta": {"c": np.zeros(10)}}, model, 80) is None
    breach = too_large({"data": {"w": np.zeros(10)}, "meta": {"dataset": much}}, model, 80)
    assert breach is not None
    assert "64 MiB for a model of 0 MiB" in breach.what


def test_a_size_counts_arrays_tensors_texts_and_what_is_within() -> None:
    assert size_of({"a": np.zeros(4), "b": [torch.zeros(2), "abc", b"de"], "c": 1}) == 32 + 8 + 3 + 2 + 8

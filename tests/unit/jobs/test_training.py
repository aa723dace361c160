"""Results of a site: those that NVFlare would silently drop or misuse are rejected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_app.jobs.recipe_defaults import task_request_interval
from fl_app.jobs.training import InvalidResult, LocalResult, check_result

RECEIVED = {"weight": np.zeros((2, 3)), "bias": np.zeros(2)}
VALID = LocalResult({name: value + 1 for name, value in RECEIVED.items()}, examples=10)


def test_a_whole_model_of_the_same_shapes_is_accepted() -> None:
    check_result(VALID, RECEIVED)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"weight": VALID.weights["weight"]}, r"bias: did not return 1 parameter \(bias\)"),
        (
            {**VALID.weights, "scale": np.ones(1)},
            r"scale: returned 1 parameter \(scale\) not in the model that it received",
        ),
        (
            {**VALID.weights, "bias": VALID.weights["bias"].tolist()},
            "bias: returned list, and was sent ndarray",
        ),
        (
            {**VALID.weights, "weight": VALID.weights["weight"].ravel()},
            r"weight: returned shape \(6,\) and received \(2, 3\)",
        ),
        ({}, "did not return 2 parameters"),
    ],
)
def test_a_different_model_is_rejected_with_the_parameters_name(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidResult, match=why):
        check_result(replace(VALID, weights=wrong), RECEIVED)


@pytest.mark.parametrize("examples", [0, -1])
def test_a_result_without_examples_is_rejected(examples: int) -> None:
    with pytest.raises(InvalidResult, match="not above 0"):
        check_result(replace(VALID, examples=examples), RECEIVED)


def test_only_a_local_result_is_accepted() -> None:
    with pytest.raises(InvalidResult, match=r"returned dict\. Return a LocalResult"):
        check_result({}, RECEIVED)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sites", "seconds"), [(1, 0.1), (20, 0.1), (100, 0.5), (1000, 5.0)])
def test_the_request_interval_grows_with_the_number_of_sites(sites: int, seconds: float) -> None:
    assert task_request_interval(sites) == pytest.approx(seconds)

"""What a site may return from a round: anything that NVFlare would drop or mix up in silence is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fl_app.jobs.training import LocalResult, UnusableResult, check_result
from fl_app.jobs.tuning import task_request_interval

RECEIVED = {"weight": np.zeros((2, 3)), "bias": np.zeros(2)}
GOOD = LocalResult({name: value + 1 for name, value in RECEIVED.items()}, examples=10)


def test_the_whole_model_in_its_shapes_is_taken() -> None:
    check_result(GOOD, RECEIVED)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"weight": GOOD.weights["weight"]}, r"bias: did not return 1 parameter \(bias\)"),
        (
            {**GOOD.weights, "scale": np.ones(1)},
            r"scale: returned 1 parameter \(scale\) not in the model that it received",
        ),
        (
            {**GOOD.weights, "bias": GOOD.weights["bias"].tolist()},
            "bias: returned list, and was sent ndarray",
        ),
        (
            {**GOOD.weights, "weight": GOOD.weights["weight"].ravel()},
            r"weight: returned shape \(6,\) and received \(2, 3\)",
        ),
        ({}, "did not return 2 parameters"),
    ],
)
def test_another_model_is_refused_with_the_name_of_what_differs(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(UnusableResult, match=why):
        check_result(replace(GOOD, weights=wrong), RECEIVED)


@pytest.mark.parametrize("examples", [0, -1])
def test_a_result_of_no_examples_is_refused(examples: int) -> None:
    with pytest.raises(UnusableResult, match="not above 0"):
        check_result(replace(GOOD, examples=examples), RECEIVED)


def test_anything_but_a_local_result_is_refused() -> None:
    with pytest.raises(UnusableResult, match=r"returned dict\. Return a LocalResult"):
        check_result({}, RECEIVED)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sites", "seconds"), [(1, 0.1), (20, 0.1), (100, 0.5), (1000, 5.0)])
def test_more_sites_ask_less_often_so_that_the_server_keeps_up(sites: int, seconds: float) -> None:
    assert task_request_interval(sites) == pytest.approx(seconds)

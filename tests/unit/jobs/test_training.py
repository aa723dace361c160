"""Results of a site: those that NVFlare would silently drop or misuse are rejected."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fl_app.guard import Finding
from fl_app.guard.finding import REASON_HEADER
from fl_app.jobs.training import ArrayTraining, InvalidResult, LocalResult, Round, Weights, check_result

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


@pytest.mark.parametrize("examples", [0, -1, math.nan, math.inf, None, "10"])
def test_a_result_without_a_number_of_examples_is_rejected(examples: Any) -> None:
    with pytest.raises(InvalidResult, match="not a finite number above 0"):
        check_result(replace(VALID, examples=examples), RECEIVED)


def test_examples_may_be_counted_by_an_array() -> None:
    check_result(replace(VALID, examples=np.ones(3).sum()), RECEIVED)


def test_only_a_local_result_is_accepted() -> None:
    with pytest.raises(InvalidResult, match=r"returned dict\. Return a LocalResult"):
        check_result({}, RECEIVED)  # type: ignore[arg-type]


class CountingRounds(ArrayTraining):
    """Counts rounds as the messages of Flarefleet do."""

    def train(self, weights: Weights, round: Round) -> LocalResult:
        self.round = round
        raise InvalidResult(Finding("is wrong", "Correct it.", round=round.number))


def test_a_site_counts_rounds_from_1_as_the_messages_do() -> None:
    site = CountingRounds()
    first = FLModelUtils.to_shareable(FLModel(params=RECEIVED, current_round=0, total_rounds=5))

    reply = site.execute("train", first, FLContext(), Signal())

    assert (site.round.number, site.round.index, site.round.total) == (1, 0, 5)
    assert reply.get_header(REASON_HEADER) == "round 1: is wrong. Correct it."

"""What sites send beside the weights: only plain values travel, and nothing wrong gets past the reader."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvflare.fuel.utils import fobs

from fl_app.jobs.fedadagrad.metadata import MOST_LOSSES, BadReport, TrainingReport

GOOD: dict[str, Any] = {"version": 1, "seconds": 1.5, "losses": [2.0, 1.0], "converged": False, "examples": 7}
FINITE = st.floats(allow_nan=False, allow_infinity=False)

reports = st.builds(
    TrainingReport,
    seconds=st.floats(0, 1e9),
    losses=st.lists(FINITE, min_size=1, max_size=20).map(tuple),
    converged=st.booleans(),
    examples=st.integers(1, 2**63 - 1),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(reports)
def test_a_report_survives_json_and_nvflares_own_encoding(report: TrainingReport) -> None:
    assert TrainingReport.from_wire(json.loads(json.dumps(report.to_wire()))) == report
    assert TrainingReport.from_wire(fobs.loads(fobs.dumps(report.to_wire()))) == report


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"seconds": -1.0},
            "seconds: Input should be greater than or equal to 0, but it is -1.0",
        ),
        (
            {"seconds": float("nan")},
            "seconds: Input should be a finite number, but it is nan",
        ),
        ({"seconds": "1.5"}, "seconds: Input should be a valid number, but it is '1.5'"),
        ({"seconds": True}, "seconds: Input should be a valid number"),
        ({"losses": []}, "losses: Tuple should have at least 1 item"),
        ({"losses": [1.0, float("inf")]}, r"losses\[1\]: Input should be a finite number"),
        (
            {"losses": [1.0, None]},
            r"losses\[1\]: Input should be a valid number, but it is None",
        ),
        (
            {"losses": [0.0] * (MOST_LOSSES + 1)},
            "losses: Tuple should have at most 1000 items",
        ),
        ({"losses": "1, 2"}, "losses: Input should be a valid tuple"),
        ({"converged": "yes"}, "converged: Input should be a valid boolean, but it is 'yes'"),
        ({"converged": 1}, "converged: Input should be a valid boolean"),
        ({"examples": 0}, "examples: Input should be greater than or equal to 1"),
        ({"examples": 2.0}, "examples: Input should be a valid integer"),
        ({"examples": 2**63}, "examples: Input should be less than"),
        ({"version": 2}, "version: Input should be 1, but it is 2"),
        ({"host": "a"}, "host: is unknown"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadReport, match=rf"training_report\.{complaint}"):
        TrainingReport.from_wire({**GOOD, **change})


@pytest.mark.parametrize("name", ["seconds", "losses", "converged", "examples"])
def test_a_missing_field_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(BadReport, match=f"training_report.{name}: is missing"):
        TrainingReport.from_wire({key: value for key, value in GOOD.items() if key != name})


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(BadReport) as refusal:
        TrainingReport.from_wire({**GOOD, "seconds": None, "examples": -1, "more": 0})
    assert all(name in str(refusal.value) for name in ("seconds", "examples", "more"))


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        (None, "training_report: is missing"),
        ([1], "is no mapping of names but list"),
        (pickle.dumps(GOOD), "is no mapping of names but bytes"),
        ({1: 2}, "is no mapping of names but dict"),
    ],
)
def test_what_is_no_report_at_all_is_refused(sent: object, complaint: str) -> None:
    with pytest.raises(BadReport, match=complaint):
        TrainingReport.from_wire(sent)


@given(plain)
def test_whatever_plain_value_is_sent_is_a_good_report_or_refused_with_words(sent: Any) -> None:
    try:
        TrainingReport.from_wire(sent)
    except BadReport as refusal:
        assert str(refusal).startswith("training_report")


@given(st.dictionaries(st.sampled_from(list(GOOD)), plain, min_size=1))
def test_a_report_with_fields_of_any_kind_is_good_or_refused_with_words_of_one_screen(
    change: dict[str, Any],
) -> None:
    try:
        report = TrainingReport.from_wire({**GOOD, **change})
    except BadReport as refusal:
        assert str(refusal).startswith("training_report.")
        assert len(str(refusal)) < 2000
    else:
        json.dumps(report.to_wire(), allow_nan=False)

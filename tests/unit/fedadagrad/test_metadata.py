"""Site reports: plain values travel, and the reader rejects invalid ones."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nvflare.fuel.utils import fobs

from fl_app.jobs.fedadagrad.metadata import MAX_LOSSES, BadReport, TrainingReport

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


@settings(deadline=None)  # the first call loads NVFlare's decomposers
@given(reports)
def test_a_report_survives_json_and_nvflares_encoding(report: TrainingReport) -> None:
    assert TrainingReport.from_wire(json.loads(json.dumps(report.to_wire()))) == report
    assert TrainingReport.from_wire(fobs.loads(fobs.dumps(report.to_wire()))) == report


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": -1.0}, "seconds: Input should be greater than or equal to 0, but it is -1.0"),
        ({"seconds": float("nan")}, "seconds: Input should be a finite number, but it is nan"),
        ({"seconds": "1.5"}, "seconds: Input should be a valid number, but it is '1.5'"),
        ({"seconds": True}, "seconds: Input should be a valid number"),
        ({"losses": []}, "losses: Tuple should have at least 1 item"),
        ({"losses": [1.0, float("inf")]}, r"losses\[1\]: Input should be a finite number"),
        ({"losses": [1.0, None]}, r"losses\[1\]: Input should be a valid number, but it is None"),
        ({"losses": [0.0] * (MAX_LOSSES + 1)}, "losses: Tuple should have at most 1000 items"),
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
def test_an_invalid_field_is_rejected_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadReport, match=rf"training_report\.{message}"):
        TrainingReport.from_wire({**GOOD, **change})


@pytest.mark.parametrize("name", ["seconds", "losses", "converged", "examples"])
def test_a_missing_field_is_rejected_by_name(name: str) -> None:
    with pytest.raises(BadReport, match=f"training_report.{name}: is missing"):
        TrainingReport.from_wire({key: value for key, value in GOOD.items() if key != name})


def test_all_invalid_fields_are_reported_together() -> None:
    with pytest.raises(BadReport) as error:
        TrainingReport.from_wire({**GOOD, "seconds": None, "examples": -1, "more": 0})
    assert all(name in str(error.value) for name in ("seconds", "examples", "more"))


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (None, "training_report: is missing"),
        ([1], "is not a mapping of names but list"),
        (pickle.dumps(GOOD), "is not a mapping of names but bytes"),
        ({1: 2}, "is not a mapping of names but dict"),
    ],
)
def test_a_value_that_is_not_a_report_is_rejected(sent: object, message: str) -> None:
    with pytest.raises(BadReport, match=message):
        TrainingReport.from_wire(sent)


@settings(max_examples=50, deadline=None)  # the strategy is slow to draw; the schema has few branches
@given(plain)
def test_any_plain_value_is_either_valid_or_rejected(sent: Any) -> None:
    try:
        TrainingReport.from_wire(sent)
    except BadReport as error:
        assert str(error).startswith("training_report")


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(list(GOOD)), plain, min_size=1))
def test_a_report_with_arbitrary_fields_is_valid_or_rejected_with_a_short_message(
    change: dict[str, Any],
) -> None:
    try:
        report = TrainingReport.from_wire({**GOOD, **change})
    except BadReport as error:
        assert str(error).startswith("training_report.")
        assert len(str(error)) < 2000
    else:
        json.dumps(report.to_wire(), allow_nan=False)

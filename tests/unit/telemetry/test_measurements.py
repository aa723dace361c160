"""Metrics of a job process: only the latest values are pushed, once, and within limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fl_app.telemetry.catalogue import JOBS
from fl_app.telemetry.documents import MAX_LABEL, MetricsDocument
from fl_app.telemetry.measurements import MAX_SITES, MAX_TAGS, Measurements
from fl_app.telemetry.push import Outcome
from fl_app.telemetry.push_gateway import MAX_DOCUMENT_BYTES


@pytest.fixture
def measured() -> Measurements:
    return Measurements()


def sent(measured: Measurements, outcome: Outcome = Outcome.ACCEPTED) -> dict[str, Any]:
    """Return the next document, and settle it."""
    document = measured.next()
    assert document is not None
    MetricsDocument.model_validate_json(document)
    measured.settle(outcome)
    return dict(json.loads(document))


def test_only_the_latest_values_are_sent_and_only_once(measured: Measurements) -> None:
    assert measured.next() is None
    for number in range(100):
        measured.set("training_metric", number, "site-1", "loss")

    assert sent(measured)["values"] == [["training_metric", ["site-1", "loss"], 99.0]]
    assert measured.next() is None


def test_a_retry_sends_the_current_values(measured: Measurements) -> None:
    measured.set("job_round", 1)
    measured.set("job_rounds", 5)
    sent(measured, Outcome.RETRY)
    measured.set("job_round", 2)

    assert sent(measured)["values"] == [["job_round", [], 2.0], ["job_rounds", [], 5.0]]


def test_a_counter_continues_after_it_was_sent(measured: Measurements) -> None:
    measured.add("model_sent_bytes_total", 10)
    sent(measured)
    measured.add("model_sent_bytes_total", 5)
    measured.raise_to("training_steps_total", 7, "site-1")
    measured.raise_to("training_steps_total", 3, "site-1")

    values = sent(measured)["values"]

    assert values == [["model_sent_bytes_total", [], 15.0], ["training_steps_total", ["site-1"], 7.0]]


def test_a_histogram_counts_observations_in_buckets(measured: Measurements) -> None:
    for seconds in (0.05, 0.1, 0.2, 1e9):
        measured.observe("round_duration_seconds", seconds)

    name, labels, counts, total = sent(measured)["distributions"][0]

    assert (name, labels, total) == ("round_duration_seconds", [], pytest.approx(1e9 + 0.35))
    assert (counts[0], counts[1], counts[-1], sum(counts)) == (2, 1, 1, 4), "a bound is part of its bucket"
    assert len(counts) == len(JOBS["round_duration_seconds"].buckets) + 1


def test_the_tags_of_each_site_are_limited(measured: Measurements) -> None:
    for tag in range(MAX_TAGS + 5):
        measured.set("training_metric", tag, "site-1", f"tag-{tag}")
    measured.set("training_metric", 1, "site-2", "loss")
    measured.set("training_metric", 7, "site-1", "tag-0")

    assert sent(measured, Outcome.RETRY)["dropped"] == {"capacity": 5}
    document = sent(measured)

    assert len(document["values"]) == MAX_TAGS + 1
    assert document["dropped"] == {"capacity": 5}
    assert ["training_metric", ["site-1", "tag-0"], 7.0] in document["values"]
    measured.set("job_round", 1)
    assert sent(measured)["dropped"] == {}, "reported once"


def test_documents_do_not_exceed_the_size_that_a_parent_accepts(measured: Measurements) -> None:
    long = "x" * MAX_LABEL
    for site in range(40):
        for tag in range(MAX_TAGS):
            measured.set("training_metric", 1 / 3, f"{site}{long}", f"{tag}{long}")

    number = 0
    while (document := measured.next()) is not None:
        assert len(document) < MAX_DOCUMENT_BYTES
        number += len(json.loads(document)["values"])
        measured.settle(Outcome.ACCEPTED)

    assert number == 40 * MAX_TAGS
    assert MAX_SITES > 1000

"""The outbox of logged values: limits, order and retries."""

from __future__ import annotations

import pytest

from fl_app.telemetry.push import Outcome
from fl_app.telemetry.push_gateway import MAX_DOCUMENT_BYTES
from fl_app.tracking.outbox import AnalyticsOutbox
from fl_app.tracking.points import MAX_POINTS, MAX_TEXT, AnalyticsDocument, ScalarPoint, TextPoint


def steps(first: int, end: int) -> list[ScalarPoint]:
    return [
        ScalarPoint(site="site-1", tag="loss", step=step, time=0, value=1.0) for step in range(first, end)
    ]


def sent(outbox: AnalyticsOutbox) -> list[int]:
    """Return the steps of the next document."""
    document = outbox.next()
    assert document is not None
    assert len(document) <= MAX_DOCUMENT_BYTES
    return [point.step for point in AnalyticsDocument.model_validate_json(document).points]


def test_many_points_are_one_document_with_the_name_of_the_job() -> None:
    outbox = AnalyticsOutbox('a "quoted" name')
    outbox.put(steps(0, 100))

    document = outbox.next()
    assert document is not None
    assert AnalyticsDocument.model_validate_json(document).job == 'a "quoted" name'
    assert sent(outbox) == list(range(100))
    outbox.settle(Outcome.ACCEPTED)
    assert outbox.next() is None


@pytest.mark.parametrize(
    ("outcome", "expected"), [(Outcome.RETRY, [0, 1, 2]), (Outcome.ACCEPTED, [2]), (Outcome.INCOMPLETE, [2])]
)
def test_points_that_arrive_during_a_push_are_in_the_next_document(
    outcome: Outcome, expected: list[int]
) -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(steps(0, 2))
    assert sent(outbox) == [0, 1]
    outbox.put(steps(2, 3))
    outbox.settle(outcome)

    assert sent(outbox) == expected


def test_documents_do_not_exceed_the_size_that_a_parent_accepts() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(TextPoint(tag="t", step=step, time=0, value="x" * MAX_TEXT) for step in range(30))
    outbox.put(steps(30, 30 + 2 * MAX_POINTS))
    found: list[int] = []
    while outbox.next() is not None:
        found += sent(outbox)
        outbox.settle(Outcome.ACCEPTED)

    assert found == list(range(30 + 2 * MAX_POINTS))


def test_a_full_outbox_drops_and_counts_points() -> None:
    outbox = AnalyticsOutbox("job", limit=1000)
    outbox.put(steps(0, 100))

    assert len(outbox) + outbox.dropped == 100
    assert outbox.dropped > 80
    assert sent(outbox)[0] == 0


def test_refused_points_are_counted_and_not_retried() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(steps(0, 3))
    outbox.next()
    outbox.settle(Outcome.REFUSED)

    assert (outbox.next(), outbox.dropped) == (None, 3)

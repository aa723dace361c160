"""Points on their way to the parent: bounded, in order, none twice and none lost."""

from __future__ import annotations

from fl_app.telemetry.intake import MAX_DOCUMENT_BYTES
from fl_app.telemetry.push import Outcome
from fl_app.tracking.document import MAX_POINTS, AnalyticsDocument
from fl_app.tracking.outbox import AnalyticsOutbox
from fl_app.tracking.points import MAX_TEXT, Scalar, Text


def steps(first: int, end: int) -> list[Scalar]:
    return [Scalar(site="site-1", tag="loss", step=step, time=0, value=1.0) for step in range(first, end)]


def sent(outbox: AnalyticsOutbox) -> list[int]:
    """The steps of the next document."""
    document = outbox.next()
    assert document is not None
    assert len(document) <= MAX_DOCUMENT_BYTES
    return [point.step for point in AnalyticsDocument.model_validate_json(document).points]


def test_many_points_go_as_one_document_with_the_jobs_name() -> None:
    outbox = AnalyticsOutbox('a "quoted" name')
    outbox.put(steps(0, 100))

    document = outbox.next()
    assert document is not None
    assert AnalyticsDocument.model_validate_json(document).job == 'a "quoted" name'
    assert sent(outbox) == list(range(100))
    outbox.settle(Outcome.TAKEN)
    assert outbox.next() is None


def test_what_was_not_taken_is_sent_again_with_what_came_since() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(steps(0, 2))
    assert sent(outbox) == [0, 1]
    outbox.put(steps(2, 3))
    outbox.settle(Outcome.LATER)

    assert sent(outbox) == [0, 1, 2]


def test_what_comes_while_a_document_is_on_its_way_is_in_the_next_one() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(steps(0, 2))
    assert sent(outbox) == [0, 1]
    outbox.put(steps(2, 3))
    outbox.settle(Outcome.TAKEN)

    assert sent(outbox) == [2]


def test_no_document_is_larger_than_the_parent_takes() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(Text(tag="t", step=step, time=0, value="x" * MAX_TEXT) for step in range(30))
    outbox.put(steps(30, 30 + 2 * MAX_POINTS))
    found: list[int] = []
    while outbox.next() is not None:
        found += sent(outbox)
        outbox.settle(Outcome.TAKEN)

    assert found == list(range(30 + 2 * MAX_POINTS))


def test_a_full_queue_drops_what_comes_and_counts_it() -> None:
    outbox = AnalyticsOutbox("job", limit=1000)
    outbox.put(steps(0, 100))

    assert len(outbox) + outbox.dropped == 100
    assert outbox.dropped > 80
    assert sent(outbox)[0] == 0


def test_what_the_parent_refuses_is_counted_and_not_sent_again() -> None:
    outbox = AnalyticsOutbox("job")
    outbox.put(steps(0, 3))
    outbox.next()
    outbox.settle(Outcome.REFUSED)

    assert (outbox.next(), outbox.dropped) == (None, 3)

"""A reason is one line, and can be found in a log."""

from __future__ import annotations

import pytest
from nvflare.apis.fl_constant import ReturnCode

from fl_app.guard.finding import MARK, REASON_HEADER, Finding, reasons_in, refusal

WHOLE = Finding("is NaN", "Lower the learning rate.", site="site-2", round=3, key="fc.weight")


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (WHOLE, "site-2, round 3, fc.weight: is NaN. Lower the learning rate."),
        (Finding("is NaN", "Do."), "is NaN. Do."),
        (Finding("two\n  lines", "Do.", site="s"), "s: two lines. Do."),
        (Finding("is NaN", "Do.", round=1), "round 1: is NaN. Do."),
    ],
)
def test_a_reason_is_one_line_with_its_place_if_known(finding: Finding, line: str) -> None:
    assert finding.line == line


def test_a_finding_keeps_its_fields_on_the_way_to_the_server() -> None:
    assert Finding(**WHOLE.document()) == WHOLE


def test_distinct_reasons_are_found_in_a_log_in_order() -> None:
    log = (
        f"2026-01-01 00:00:00,000 - JobGuard - ERROR - [identity=x] - {MARK} {WHOLE.line}\n"
        f"... Aborting current RUN due to FATAL_SYSTEM_ERROR received: {MARK} {WHOLE.line}\n"
        f"... {MARK} another\n"
    )
    assert reasons_in(log) == (WHOLE.line, "another")
    assert reasons_in("nothing here") == ()


def test_a_refusal_is_an_error_with_the_reason() -> None:
    reply = refusal(WHOLE.line)
    assert reply.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert reply.get_header(REASON_HEADER) == WHOLE.line

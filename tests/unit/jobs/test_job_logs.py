"""The logs of a job."""

from __future__ import annotations

import pytest

from deploy.session.job_logs import continuation


@pytest.mark.parametrize(
    ("before", "now", "gained"),
    [
        ("", "one\n", "one\n"),
        ("one\n", "one\ntwo\n", "two\n"),
        ("one\n", "one\n", ""),
        ("a" * 500 + "one\n", "... output truncated ...\n" + "a" * 450 + "one\ntwo\n", "two\n"),
        ("of the first process\n", "of the second\n", "of the second\n"),
    ],
)
def test_only_what_a_log_has_gained_is_printed_again(before: str, now: str, gained: str) -> None:
    assert continuation(before, now) == gained

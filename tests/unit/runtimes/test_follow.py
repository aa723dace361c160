"""Reading a log, once or while it is being written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from deploy.runtimes.follow import last_lines, read_lines
from deploy.runtimes.protocol import LogPart


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none")) == []
    assert last_lines(tmp_path / "none") == []


def test_lines_with_arbitrary_bytes_are_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\r\n\xff two\n\nlast without a line break")

    lines = ["one", "\N{REPLACEMENT CHARACTER} two", "", "last without a line break"]
    assert list(read_lines(log)) == lines
    assert last_lines(log) == lines


def test_following_a_log_yields_added_lines_when_they_are_complete(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntw")
    additions = iter(["o\nthree\n", "four"])

    def is_written() -> bool:
        if (addition := next(additions, None)) is None:
            return False
        with log.open("a") as file:
            file.write(addition)
        return True

    assert list(read_lines(log, is_written)) == ["one", "two", "three", "four"]


TRACEBACK = ["Traceback (most recent call last):", "ValueError"]
MINUTES = [f"2026-11-30 19:0{minute}:00,500 - INFO - {minute}" for minute in range(4)]
LOG = ["flarefleet: starting", *MINUTES[:2], *TRACEBACK, *MINUTES[2:]]


@pytest.mark.parametrize(
    ("tail", "since", "expected"),
    [
        (None, None, LOG),
        (2, None, LOG[-2:]),
        (0, None, []),
        (99, None, LOG),
        (None, "2026-11-30T19:01:00.500", LOG[2:]),
        (None, "2026-11-30T19:01:00.501", LOG[5:]),
        (1, "2026-11-30T19:01", LOG[-1:]),
        (None, "2026-11-30T20:00", []),
    ],
)
def test_a_part_of_a_log_begins_at_a_line_or_at_a_time(
    tail: int | None, since: str | None, expected: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in LOG))
    part = LogPart(tail, datetime.fromisoformat(since).astimezone() if since else None)

    assert list(read_lines(log, part=part)) == expected


def test_following_the_end_of_a_log_yields_added_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    is_written = iter([True, False])
    lines = read_lines(log, lambda: next(is_written), LogPart(tail=1))

    assert next(lines) == "two"
    with log.open("a") as file:
        file.write("three\n")
    assert list(lines) == ["three"]


def test_the_last_lines_begin_at_the_given_offset(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of an earlier run\n")
    start = log.stat().st_size

    assert last_lines(log, start) == []
    with log.open("a") as file:
        file.write("of this run\n")
    assert last_lines(log, start) == ["of this run"]

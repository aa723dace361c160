"""Reading a log once, and for as long as somebody writes it."""

from __future__ import annotations

from pathlib import Path

from deploy.runtimes.follow import follow_lines, read_lines


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "none")) == []


def test_lines_come_whole_whatever_they_hold(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\r\n\xff two\n\nlast without an end")

    assert list(read_lines(log)) == ["one", "\N{REPLACEMENT CHARACTER} two", "", "last without an end"]


def test_what_is_added_while_it_is_followed_comes_too_and_a_half_line_waits(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntw")
    additions = iter(["o\nthree\n", "four"])

    def is_written() -> bool:
        if (addition := next(additions, None)) is None:
            return False
        with log.open("a") as file:
            file.write(addition)
        return True

    assert list(follow_lines(log, is_written)) == ["one", "two", "three", "four"]

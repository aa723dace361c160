"""Reading a log, once or while it is being written."""

from __future__ import annotations

from pathlib import Path

from deploy.runtimes.follow import last_lines, read_lines


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

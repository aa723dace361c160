"""Atomic writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fl_app.files import PRIVATE_FILE, write_atomically


def test_the_new_content_replaces_the_old_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("old")

    write_atomically(file, b"new", PRIVATE_FILE)

    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == PRIVATE_FILE


def test_a_failed_write_keeps_the_old_content_and_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "state.json"
    file.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, b"new")

    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]

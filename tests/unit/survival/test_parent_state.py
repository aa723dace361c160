"""What the server's parent remembers of its running jobs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fl_app.nvflare_internals.server_jobs import Participant
from fl_app.survival.parent_state import STATE_FILE, ParentState

JOBS = {
    "job": (Participant("north", "token", {"fqcn": "north", "is_leaf": True, "site_config": {"a": [1]}}),)
}


def test_a_new_parent_reads_what_the_last_one_saved(tmp_path: Path) -> None:
    ParentState(tmp_path).save(JOBS)

    assert ParentState(tmp_path).load() == JOBS
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_a_parent_that_never_ran_a_job_remembers_none(tmp_path: Path) -> None:
    assert ParentState(tmp_path).load() == {}


def test_the_file_is_written_only_when_something_changes(tmp_path: Path) -> None:
    state = ParentState(tmp_path)
    state.save(JOBS)
    (tmp_path / STATE_FILE).unlink()

    state.save(dict(JOBS))
    assert not (tmp_path / STATE_FILE).exists()
    state.save({})
    assert ParentState(tmp_path).load() == {}


def test_the_last_state_remains_if_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ParentState(tmp_path)
    state.save(JOBS)
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space"):
            state.save({})
    assert ParentState(tmp_path).load() == JOBS

    state.save({})
    assert ParentState(tmp_path).load() == {}


@pytest.mark.parametrize("size", range(0, 140, 7))
def test_a_torn_file_is_ignored(tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture) -> None:
    ParentState(tmp_path).save(JOBS)
    file = tmp_path / STATE_FILE
    assert len(file.read_bytes()) > 140
    file.write_bytes(file.read_bytes()[:size])

    assert ParentState(tmp_path).load() == {}
    assert "survival.json is not usable" in caplog.text


@pytest.mark.parametrize(
    "document",
    [
        [],
        None,
        {"format": 2, "jobs": {}},
        {"format": 1},
        {"format": 1, "jobs": []},
        {"format": 1, "jobs": {"job": [{"name": "north"}]}},
        {"format": 1, "jobs": {"job": [{"name": "north", "token": "t", "props": "x"}]}},
    ],
)
def test_a_foreign_file_is_ignored(tmp_path: Path, document: Any) -> None:
    (tmp_path / STATE_FILE).write_text(json.dumps(document))

    assert ParentState(tmp_path).load() == {}

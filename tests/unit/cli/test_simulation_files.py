"""`flarefleet simulate` leaves no files behind, except those of a failed run, which it names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy import simulation
from deploy.cli.app import app
from deploy.errors import Failed
from fl_app.telemetry.job_progress import JobProgress


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(simulation, "collect_results", lambda work, sites, folder: folder.mkdir())
    return tmp_path


def test_a_run_that_completed_leaves_nothing(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(job: Path, sites: Any, work: Path, log: Path, timeout: float) -> Iterator[JobProgress]:
        log.write_text("log")
        yield JobProgress()

    monkeypatch.setattr(simulation, "simulate", complete)

    assert CliRunner().invoke(app, ["simulate", "fibonacci"]).exit_code == 0
    assert list(temporary.glob("flarefleet-simulation-*")) == []


def test_the_files_of_a_failed_run_are_named(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Iterator[JobProgress]:
        raise Failed("the job failed")
        yield

    monkeypatch.setattr(simulation, "simulate", fail)

    result = CliRunner().invoke(app, ["simulate", "fibonacci"])

    (kept,) = temporary.glob("flarefleet-simulation-*")
    assert f"Its files are kept in {kept}" in " ".join(result.output.split())

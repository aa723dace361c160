"""The command logs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.cli.logs import time_of
from deploy.errors import InputError
from deploy.project import load_project
from deploy.runtimes.process import ProcessRuntime
from deploy.workspace import Workspace
from tests.federation.federation import write_project


def test_a_number_is_seconds_ago_and_other_texts_are_times() -> None:
    ago = datetime.now(timezone.utc) - time_of("90")
    assert timedelta(seconds=89) < ago < timedelta(seconds=91)
    assert time_of("2026-11-30T19:00:00Z") == datetime(2026, 11, 30, 19, tzinfo=timezone.utc)
    assert time_of("2026-11-30T19:00") == datetime(2026, 11, 30, 19).astimezone()
    assert time_of("1e300").year == 1970


@pytest.mark.parametrize("text", ["", "10m", "yesterday", "nan"])
def test_any_other_text_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="must be a number of seconds, or a time"):
        time_of(text)


def test_logs_prints_the_last_lines(tmp_path: Path) -> None:
    file = write_project(tmp_path, sites=1)
    runtime = ProcessRuntime(load_project(file), Workspace(tmp_path / "w" / "clinics"))
    log = runtime.folder.log("site-1")
    log.parent.mkdir(parents=True)
    log.write_text("one\ntwo\nthree\n")

    options = ["--project", str(file), "--workspace", str(tmp_path / "w")]
    answer = CliRunner().invoke(app, ["logs", "site-1", "--tail", "2", *options])

    assert answer.output == "two\nthree\n"
    assert CliRunner().invoke(app, ["logs", "site-1", "--since", "5", *options]).output == ""

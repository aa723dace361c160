"""`flarefleet fetch` without a folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from deploy.cli import results
from deploy.cli.app import app
from deploy.errors import InputError
from deploy.session.job import COMPLETED, Job


def test_a_job_that_is_already_fetched_is_named_with_the_command_for_another_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job.of({"job_id": "4e8d1234-0", "name": "probe", "status": COMPLETED})
    session = SimpleNamespace(job=lambda _: job, jobs=lambda: (job,))
    monkeypatch.setattr(results, "admin_session", lambda *_: nullcontext(session))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "probe-4e8d1234" / "logs").mkdir(parents=True)

    done = CliRunner().invoke(app, ["fetch", "latest", "--admin-kit", "kits/lead"])

    assert isinstance(done.exception, InputError)
    assert str(done.exception) == (
        "results/probe-4e8d1234: the job is already fetched. For another copy: "
        "flarefleet fetch 4e8d1234-0 FOLDER --admin-kit kits/lead"
    )

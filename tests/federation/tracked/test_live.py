"""Tracking while a job runs: growing curves, an outage of MLflow, and retention of event files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fl_app.checks.exit_codes import Exit
from tests.federation.federation import SERVER
from tests.federation.tracked.tracking import KEEP_DAYS, SITES, Tracked, TrackedJob, scalars
from tests.skipping import skip_or_fail_in_ci
from tests.unit.demo import chromium
from tests.waiting import eventually

pytestmark = pytest.mark.federation


@pytest.mark.extended
def test_curves_grow_in_tensorboard_while_the_job_runs(
    tracked: Tracked, submit_probe: Callable[..., str], tmp_path: Path
) -> None:
    if chromium.PROGRAM is None:
        skip_or_fail_in_ci("no Chromium on PATH")
    job_id = submit_probe(rounds=1000, seconds=1)
    eventually((tracked.event_files / job_id / "site-2").is_dir, 60, "site-2 has logged")
    with _tensorboard(tracked, job_id) as url, chromium.chromium(tmp_path) as page:
        page.open(f"{url}#timeseries", 1280)
        eventually(lambda: "site-2" in page.value("document.body.innerText"), 60, "the site is shown")
        curves = "document.querySelectorAll('line-chart svg path, line-chart canvas').length"
        eventually(lambda: page.value(curves), 60, "a curve is drawn")
        before = _last_step(page)
        page.open(f"{url}?again#timeseries", 1280)
        eventually(lambda: (_last_step(page) or 0) > (before or 0), 60, "the curve grows")

    assert tracked.session.job(job_id).status == "RUNNING"
    tracked.session.abort(job_id)
    eventually(lambda: tracked.session.job(job_id).is_finished, 60, "the job is aborted")
    assert len(scalars(tracked.event_files / job_id / "site-1", "round")) > 1  # they remain


@contextmanager
def _tensorboard(tracked: Tracked, job_id: str) -> Iterator[str]:
    """Run `flarefleet tensorboard` for one job; stop it with Ctrl-C."""
    command = tracked.federation.command("tensorboard", job_id)
    folder = tracked.federation.folder
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.send_signal(signal.SIGINT)
        assert program.wait(30) == 0


def _last_step(page: chromium.Page) -> int | None:
    """Return the highest step in the table below the first curve."""
    cells = "[...document.querySelectorAll('tb-data-table-content-cell')].map(cell => cell.innerText)"
    numbers = [int(text) for text in page.value(cells) if text.isdecimal()]
    return max(numbers, default=None)


@pytest.mark.extended
def test_no_value_is_lost_if_mlflow_is_down_for_a_part_of_a_job(
    tracked: Tracked, submit_probe: Callable[..., str]
) -> None:
    tracked.mlflow.wait()
    rounds = 40
    job_id = submit_probe(rounds=rounds, seconds=0.6)
    eventually(lambda: tracked.kit_runs(job_id), 60, "the first values are in MLflow")
    tracked.mlflow.stop()
    try:
        eventually(lambda: (tracked.metric("backlog", "mlflow") or 0) > 4, 60, "values are queued")
        assert tracked.session.job(job_id).status == "RUNNING"
        eventually(lambda: "tracking: mlflow is unavailable" in tracked.log(), 60, "the outage is logged")
    finally:
        tracked.mlflow.start()
    eventually(lambda: tracked.session.job(job_id).is_finished, 180, "the job has ended")
    tracked.mlflow.wait()
    eventually(lambda: tracked.is_closed(job_id), 120, "all values were sent")

    assert tracked.session.job(job_id).status == "FINISHED:COMPLETED"
    (run,) = tracked.kit_runs(job_id)
    for site in SITES:
        assert tracked.history(run, f"{site}/round") == [
            (number, float(number)) for number in range(1, rounds + 1)
        ]
    assert (tracked.metric("backlog", "mlflow"), tracked.metric("failed_total", "mlflow")) == (0, 0)
    assert "tracking: mlflow is available again" in tracked.log()
    eventually(lambda: not tracked.is_queued(job_id, "mlflow"), 60, "the job is removed from the queue")


@pytest.mark.extended
def test_event_files_of_an_ended_job_are_removed_when_they_expire(
    tracked: Tracked, jobs: dict[str, TrackedJob], parameter_twice_job: TrackedJob
) -> None:
    for job in (parameter_twice_job, jobs["numpy"]):
        job.wait()
    expired, recent = (tracked.event_files / job.id for job in (parameter_twice_job, jobs["numpy"]))
    _age(expired, KEEP_DAYS + 1)
    _age(recent, KEEP_DAYS - 1)

    eventually(lambda: not expired.exists(), 90, "the expired files are removed")
    assert scalars(recent / "site-1", "train_loss")


def _age(folder: Path, days: float) -> None:
    """Set the times of all files `days` back."""
    then = time.time() - days * 86400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_a_second_up_ignores_variables_of_its_shell_with_a_warning(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tracked.federation
    server = federation.parent(SERVER)
    monkeypatch.setenv("FLARE_TRACKING", "wandb")

    up = federation.flarefleet("up")

    assert up.returncode == 0, up.stderr
    assert re.search(r"warning: FLARE_TRACKING.* in this shell has no effect", up.stderr)
    assert federation.parent(SERVER) == server
    environment = server.environ()
    assert (environment["FLARE_TRACKING"], environment["WANDB_API_KEY"]) == ("mlflow,wandb", "a" * 40)
    assert not {"FLARE_TRACKING", "WANDB_API_KEY"} & federation.parent("site-1").environ().keys()


def test_an_unknown_tracker_is_an_error_at_startup(
    tracked: Tracked, start: Callable[..., Any], tmp_path: Path
) -> None:
    parent = start(tracked.federation.kit(SERVER), tmp_path / "server", FLARE_TRACKING="mflow")

    assert parent.wait() == Exit.SETTINGS
    assert "FLARE_TRACKING=mflow: unknown tracker mflow; available: mlflow, wandb" in parent.last_line()

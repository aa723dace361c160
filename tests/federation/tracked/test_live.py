"""While a job runs: curves that grow, and an MLflow server that goes away and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.session import AdminSession
from fl_app.startup.exit_codes import Exit
from tests.federation.federation import SERVER
from tests.federation.tracked.tracking import KEEP_DAYS, SITES, Tracked, scalars
from tests.lacking import leave_out
from tests.unit.demo import chromium
from tests.waiting import eventually

pytestmark = pytest.mark.federation


def test_curves_grow_in_tensorboard_while_the_job_runs(
    tracked: Tracked, session: AdminSession, submit_probe: Callable[..., str], tmp_path: Path
) -> None:
    if chromium.PROGRAM is None:
        leave_out("no Chromium on PATH")
    job_id = submit_probe(rounds=1000, seconds=0.2)
    eventually((tracked.event_files / job_id / "site-2").is_dir, 60, "site-2 has logged")
    with _tensorboard(tracked, job_id) as url, chromium.chromium(tmp_path) as page:
        page.open(f"{url}#timeseries", 1280)
        eventually(lambda: "site-2" in page.value("document.body.innerText"), 60, "the site's name is shown")
        curves = "document.querySelectorAll('line-chart svg path, line-chart canvas').length"
        eventually(lambda: page.value(curves), 60, "a curve is drawn")
        before = _last_step(page)
        page.open(f"{url}?again#timeseries", 1280)
        eventually(lambda: (_last_step(page) or 0) > (before or 0), 60, "the curve grows")

    assert session.job(job_id).status == "RUNNING"
    session.abort(job_id)
    eventually(lambda: session.job(job_id).is_finished, 60, "it is aborted")
    assert len(scalars(tracked.event_files / job_id / "site-1", "round")) > 1  # it outlives its job


class _tensorboard:  # noqa: N801 - reads as what it is
    """`flarefleet tensorboard` on one job; Ctrl-C ends it with the block."""

    def __init__(self, tracked: Tracked, job_id: str) -> None:
        self._command = tracked.federation.command("tensorboard", job_id)
        self._folder = tracked.federation.folder

    def __enter__(self) -> str:
        self._program = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.PIPE, text=True)
        assert self._program.stdout is not None
        return self._program.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._program.send_signal(signal.SIGINT)
        assert self._program.wait(30) == 0


def _last_step(page: chromium.Page) -> int | None:
    """The highest step in the table below the first curve."""
    cells = "[...document.querySelectorAll('tb-data-table-content-cell')].map(cell => cell.innerText)"
    numbers = [int(text) for text in page.value(cells) if text.isdecimal()]
    return max(numbers, default=None)


def test_an_mlflow_server_that_goes_and_comes_back_in_mid_job_loses_nothing(
    tracked: Tracked, session: AdminSession, submit_probe: Callable[..., str]
) -> None:
    tracked.mlflow.wait()
    rounds = 60
    job_id = submit_probe(rounds=rounds, seconds=0.3)
    eventually(lambda: tracked.kit_runs(job_id), 60, "the first values are in MLflow")
    tracked.mlflow.stop()
    try:
        eventually(lambda: (tracked.metric("backlog", "mlflow") or 0) > 4, 60, "values wait")
        assert session.job(job_id).status == "RUNNING"
        eventually(lambda: "tracking: mlflow does not take anything now" in tracked.log(), 60, "it is told")
    finally:
        tracked.mlflow.start()
    eventually(lambda: session.job(job_id).is_finished, 180, "the job goes on to its end")
    tracked.mlflow.wait()
    eventually(lambda: tracked.is_closed(job_id), 120, "everything was sent")

    assert session.job(job_id).status == "FINISHED:COMPLETED"
    (run,) = tracked.kit_runs(job_id)
    for site in SITES:
        assert tracked.history(run, f"{site}/round") == [(step, step + 1.0) for step in range(rounds)]
    assert (tracked.metric("backlog", "mlflow"), tracked.metric("failed_total", "mlflow")) == (0, 0)
    assert "tracking: mlflow takes what is logged again" in tracked.log()
    eventually(lambda: not (tracked.queue / job_id).exists(), 60, "nothing is left in the queue")


def test_event_files_go_when_their_job_has_ended_and_their_days_are_over(
    tracked: Tracked, session: AdminSession, submit_probe: Callable[..., str]
) -> None:
    old, young = submit_probe(rounds=1), submit_probe(rounds=1)
    for job_id in (old, young):
        eventually(lambda job_id=job_id: session.job(job_id).is_finished, 120, "it has ended")
    _age(tracked.event_files / old, KEEP_DAYS + 1)
    _age(tracked.event_files / young, KEEP_DAYS - 1)

    eventually(lambda: not (tracked.event_files / old).exists(), 90, "it has gone")
    assert scalars(tracked.event_files / young / "site-1", "round")


def _age(folder: Path, days: float) -> None:
    """As if nothing had been written into it for so long."""
    then = time.time() - days * 86400
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then))


def test_a_second_up_ignores_variables_of_its_shell_and_says_so(
    tracked: Tracked, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = tracked.federation
    server = federation.parent(SERVER)
    monkeypatch.setenv("FLARE_TRACKING", "wandb")

    up = federation.flarefleet("up")

    assert up.returncode == 0, up.stderr
    assert "warning: FLARE_TRACKING in this shell has no effect" in up.stderr
    assert federation.parent(SERVER) == server
    environment = server.environ()
    assert (environment["FLARE_TRACKING"], environment["WANDB_API_KEY"]) == ("mlflow,wandb", "a" * 40)
    assert not {"FLARE_TRACKING", "WANDB_API_KEY"} & federation.parent("site-1").environ().keys()


def test_a_server_that_is_told_of_an_unknown_tracker_does_not_start(
    tracked: Tracked, start: Callable[..., Any], tmp_path: Path
) -> None:
    parent = start(tracked.federation.kit(SERVER), tmp_path / "server", FLARE_TRACKING="mflow")

    assert parent.wait() == Exit.SETTINGS
    assert "FLARE_TRACKING=mflow: there is no mflow; there are: mlflow, wandb" in parent.last_line()

"""What sites log, in a real federation: live in TensorBoard, in MLflow and in W&B, for every kind of recipe.

One federation and one MLflow server serve all tests here; the jobs of the table run side by side.
"""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deploy.session import AdminKit, AdminSession, open_session
from fl_app.jobs.registry import find
from fl_app.startup.exits import Exit
from tests.federation.federation import ADMIN, SERVER, Federation, eventually, write_project
from tests.federation.tracked import mlflow_server
from tests.federation.tracked.mlflow_server import MLflowServer
from tests.federation.tracked.recipes import RECIPES, ROUNDS, export
from tests.federation.tracked.wandb_files import logged_keys
from tests.unit.demo import chromium

pytestmark = pytest.mark.federation

SITES = ("site-1", "site-2")
LOGGED = [(step, 1 / (1 + step)) for step in range(ROUNDS)]
"""What every client of the table logs as train_loss."""


@dataclass(frozen=True)
class Tracked:
    """A federation that passes everything on to MLflow and to W&B."""

    federation: Federation
    mlflow: MLflowServer
    wandb: Path
    """Where NVFlare's own receiver puts W&B's files."""

    @property
    def event_files(self) -> Path:
        found = self.federation.runtime.analytics()
        assert found is not None
        return found

    @property
    def queue(self) -> Path:
        return self.federation.run_folder.home(SERVER) / "tracking"

    def metric(self, name: str, receiver: str) -> float | None:
        return self.federation.metric(SERVER, f"nvflare_tracking_{name}", receiver=receiver)

    def log(self) -> str:
        return self.federation.run_folder.log(SERVER).read_text(encoding="utf-8")

    def kit_runs(self, job_id: str) -> list[Any]:
        """The runs that the kit made of a job in MLflow."""
        return self.runs(self.federation.project.name, f"tags.`flarefleet.job_id` = '{job_id}'")

    def runs(self, experiment: str, which: str) -> list[Any]:
        client = MlflowClient(self.mlflow.url)
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], which)) if found else []

    def history(self, run: Any, key: str) -> list[tuple[int, float]]:
        """Each value of a metric, by step."""
        points = MlflowClient(self.mlflow.url).get_metric_history(run.info.run_id, key)
        return sorted((point.step, point.value) for point in points)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """The federation is up; MLflow may still be starting."""
    if not mlflow_server.PROGRAM.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no {mlflow_server.PROGRAM}")
        pytest.skip("no MLflow server: python -m deploy.tools --mlflow")
    folder = tmp_path_factory.mktemp("tracking")
    server = MLflowServer(folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FLARE_TRACKING", "mlflow,wandb")
        environment.setenv("MLFLOW_TRACKING_URI", server.url)
        environment.setenv("WANDB_MODE", "offline")
        federation = Federation(write_project(folder, sites=2, name="tracked").parent)
        (folder / "wandb").mkdir()
        try:
            server.start()
            federation.up()
            yield Tracked(federation, server, folder / "wandb")
        finally:
            federation.down()
            server.stop()


@pytest.fixture(scope="module")
def session(tracked: Tracked) -> Iterator[AdminSession]:
    with open_session(AdminKit.read(tracked.federation.runtime.admin_kit(ADMIN))) as opened:
        yield opened


@pytest.fixture
def submit_probe(session: AdminSession, tmp_path: Path) -> Callable[..., str]:
    """Submits the kit's job `probe` and returns its id."""

    def submit(**parameters: float) -> str:
        probe = find("probe")
        probe.recipe(probe.parameters(**parameters), SITES).export(str(tmp_path))
        return session.submit(tmp_path / "probe", uuid.uuid4().hex)

    return submit


@pytest.fixture(scope="module")
def table(
    tracked: Tracked, session: AdminSession, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The ids of the table's jobs, all of which have completed."""
    folder = tmp_path_factory.mktemp("table")
    tracked.mlflow.wait()
    jobs = {
        name: session.submit(export(name, folder, tracked.mlflow.url, tracked.wandb), uuid.uuid4().hex)
        for name in RECIPES
    }
    for name, job_id in jobs.items():
        eventually(lambda job_id=job_id: session.job(job_id).is_finished, 240, f"{name} has ended")
        job = session.job(job_id)
        assert job.status == "FINISHED:COMPLETED", (name, job.status, session.error_logs(job_id))
    return jobs


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """The values of a tag as TensorBoard reads them, however many files they are in."""
    return [(event.step, event.value) for event in shown(folder).Scalars(tag)]


def shown(folder: Path) -> EventAccumulator:
    run = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    )
    run.Reload()
    return run


def test_curves_grow_in_tensorboard_while_the_job_runs(
    tracked: Tracked, session: AdminSession, submit_probe: Callable[..., str], tmp_path: Path
) -> None:
    if chromium.PROGRAM is None:
        pytest.skip("no Chromium on PATH")
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


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_in_the_kits_tensorboard_mlflow_and_wandb(
    tracked: Tracked, table: dict[str, str], name: str
) -> None:
    job_id = table[name]
    for site in SITES:
        found = scalars(tracked.event_files / job_id / site, "train_loss")
        assert [step for step, _ in found] == [step for step, _ in LOGGED]
        assert [value for _, value in found] == pytest.approx([value for _, value in LOGGED])

    eventually(lambda: _finished(tracked, job_id), 60, f"the run of {name} is closed")
    (run,) = tracked.kit_runs(job_id)
    assert run.info.run_name == name
    for site in SITES:
        assert tracked.history(run, f"{site}/train_loss") == LOGGED

    keys = logged_keys(tracked.queue / "wandb-runs")[f"run-{job_id}.wandb"]
    assert {f"{site}/{key}" for site in SITES for key in ("train_loss", "step")} <= keys


def _finished(tracked: Tracked, job_id: str) -> bool:
    runs = tracked.kit_runs(job_id)
    return bool(runs) and runs[0].info.status == "FINISHED"


@pytest.mark.parametrize("name", RECIPES)
def test_nvflares_own_trackers_work_for_every_recipe(
    tracked: Tracked, table: dict[str, str], session: AdminSession, tmp_path: Path, name: str
) -> None:
    job_id = table[name]
    results = session.download(job_id, tmp_path)
    runs = tracked.runs(f"{name}-experiment", f"tags.job_id = '{job_id}'")
    files = {path.parent.name: path for path in tracked.wandb.rglob("*.wandb")}
    for site in SITES:
        (folder,) = results.rglob(f"tb_events/{site}")
        assert scalars(folder, "train_loss") == pytest.approx(LOGGED)
        (run,) = [run for run in runs if run.info.run_name.startswith(f"{site}-")]
        assert [step for step, _ in tracked.history(run, "train_loss")] == [step for step, _ in LOGGED]
    keys = [keys for keys in _wandb_of(files, name, job_id).values() if "train_loss" in keys]
    assert len(keys) == len(SITES)  # one run a site


def _wandb_of(files: dict[str, Path], name: str, job_id: str) -> dict[str, set[str]]:
    """The keys of the runs that NVFlare's receiver made of a job."""
    found: dict[str, set[str]] = {}
    for path in files.values():
        if job_id.encode() in path.read_bytes():
            found |= logged_keys(path.parent)
    return found


def test_whatever_a_site_or_the_server_logs_is_shown(tracked: Tracked, table: dict[str, str]) -> None:
    job = tracked.event_files / table["numpy"]
    site = shown(job / "site-1")

    assert set(site.Tags()["scalars"]) == {"train_loss", "error/train", "error/valid"}
    assert site.Tensors("note")[0].tensor_proto.string_val == [b"*hello*"]
    assert (site.Images("sample")[0].width, site.Images("sample")[0].height) == (16, 16)
    assert site.Histograms("weights")[0].histogram_value.num == 3
    assert scalars(job / SERVER, "evaluation") == [(step, 0.75) for step in range(ROUNDS)]


def test_an_mlflow_server_that_goes_and_comes_back_in_mid_job_loses_nothing(
    tracked: Tracked, session: AdminSession, submit_probe: Callable[..., str]
) -> None:
    tracked.mlflow.wait()
    rounds = 60
    job_id = submit_probe(rounds=rounds, seconds=0.3)
    eventually(lambda: tracked.kit_runs(job_id), 60, "the first values are in MLflow")
    tracked.mlflow.stop()
    eventually(lambda: (tracked.metric("backlog", "mlflow") or 0) > 4, 60, "values wait")
    assert session.job(job_id).status == "RUNNING"
    eventually(lambda: "tracking: mlflow does not take anything now" in tracked.log(), 60, "it is told")
    tracked.mlflow.start()
    eventually(lambda: session.job(job_id).is_finished, 180, "the job goes on to its end")
    tracked.mlflow.wait()
    eventually(lambda: _finished(tracked, job_id), 120, "everything was sent")

    assert session.job(job_id).status == "FINISHED:COMPLETED"
    (run,) = tracked.kit_runs(job_id)
    for site in SITES:
        assert tracked.history(run, f"{site}/round") == [(step, step + 1.0) for step in range(rounds)]
    assert (tracked.metric("backlog", "mlflow"), tracked.metric("failed_total", "mlflow")) == (0, 0)
    assert "tracking: mlflow takes what is logged again" in tracked.log()
    eventually(lambda: not (tracked.queue / job_id).exists(), 60, "nothing is left in the queue")


def test_a_server_that_is_told_of_an_unknown_tracker_does_not_start(
    tracked: Tracked, start: Callable[..., Any], tmp_path: Path
) -> None:
    parent = start(tracked.federation.kit(SERVER), tmp_path / "server", FLARE_TRACKING="mflow")

    assert parent.wait() == Exit.SETTINGS
    assert "FLARE_TRACKING=mflow: there is no mflow; there are: mlflow, wandb" in parent.last_line()

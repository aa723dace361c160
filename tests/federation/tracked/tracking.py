"""A federation that passes on what its jobs log, and what of it arrived where."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deploy.session import AdminSession
from tests.federation.federation import SERVER, Federation
from tests.federation.tracked.mlflow_server import MLflowServer
from tests.waiting import eventually

SITES = ("site-1", "site-2")
KEEP_DAYS = 30
"""For which the server keeps event files."""


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

    def is_closed(self, job_id: str) -> bool:
        """Whether everything of a job is in the kit's run."""
        runs = self.kit_runs(job_id)
        return bool(runs) and runs[0].info.status == "FINISHED"

    def runs(self, experiment: str, which: str) -> list[Any]:
        client = MlflowClient(self.mlflow.url)
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], which)) if found else []

    def history(self, run: Any, key: str) -> list[tuple[int, float]]:
        """Each value of a metric, by step."""
        points = MlflowClient(self.mlflow.url).get_metric_history(run.info.run_id, key)
        return sorted((point.step, point.value) for point in points)


@dataclass(frozen=True)
class Row:
    """A job of the table, and where it ran."""

    job_id: str
    folder: Path
    """The job, as NVFlare's tools take it."""
    tracked: Tracked
    session: AdminSession

    def submit_again(self) -> str:
        """The id of the same job, which has ended."""
        job_id = self.session.submit(self.folder, uuid.uuid4().hex)
        eventually(lambda: self.session.job(job_id).is_finished, 240, f"{self.folder.name} has ended again")
        return job_id


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """The values of a tag as TensorBoard reads them, however many files they are in."""
    return [(event.step, event.value) for event in shown(folder).Scalars(tag)]


def shown(folder: Path) -> EventAccumulator:
    run = EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    )
    run.Reload()
    return run

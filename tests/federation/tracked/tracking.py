"""A federation with trackers, its jobs, and the values that arrived at each tracker."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.session import AdminSession, Job
from fl_app.tracking.queue import TrackingQueue
from tests.event_files import read_run
from tests.federation.federation import SERVER, Federation
from tests.federation.tracked.mlflow_server import MLflowServer
from tests.waiting import eventually

SITES = ("site-1", "site-2")
KEEP_DAYS = 30
"""Days for which the server keeps event files."""


@dataclass(frozen=True)
class Tracked:
    """A federation that sends all values to MLflow and W&B."""

    federation: Federation
    session: AdminSession
    mlflow: MLflowServer
    wandb: Path
    """Folder of the W&B files that NVFlare's own receiver writes."""

    @property
    def event_files(self) -> Path:
        found = self.federation.runtime.analytics()
        assert found is not None
        return found

    @property
    def queue(self) -> Path:
        return self.federation.run_folder.workspace(SERVER) / "tracking"

    def is_queued(self, job_id: str, receiver: str) -> bool:
        return job_id in {job.id for job in TrackingQueue(self.queue, receiver).unfinished()}

    def metric(self, name: str, receiver: str) -> float | None:
        return self.federation.metric(SERVER, f"nvflare_tracking_{name}", receiver=receiver)

    def log(self) -> str:
        return self.federation.run_folder.log(SERVER).read_text(encoding="utf-8")

    def kit_runs(self, job_id: str) -> list[Any]:
        """Return the runs that the kit created for a job in MLflow."""
        return self.runs(self.federation.project.name, f"tags.`flarefleet.job_id` = '{job_id}'")

    def is_closed(self, job_id: str) -> bool:
        """Return whether the kit's run of a job is closed, so that it has all values."""
        runs = self.kit_runs(job_id)
        return bool(runs) and runs[0].info.status == "FINISHED"

    def runs(self, experiment: str, which: str) -> list[Any]:
        client = self._client()
        found = client.get_experiment_by_name(experiment)
        return list(client.search_runs([found.experiment_id], which)) if found else []

    def _client(self) -> Any:
        from mlflow import MlflowClient  # each worker imports this file, and one runs these tests

        return MlflowClient(self.mlflow.url)

    def history(self, run: Any, key: str) -> list[tuple[int, float]]:
        """Return the values of a metric, sorted by step."""
        points = self._client().get_metric_history(run.info.run_id, key)
        return sorted((point.step, point.value) for point in points)


@dataclass(frozen=True)
class TrackedJob:
    """A submitted job."""

    id: str
    folder: Path
    """Exported job."""
    tracked: Tracked

    @classmethod
    def submit(cls, folder: Path, tracked: Tracked) -> TrackedJob:
        return cls(tracked.session.submit(folder, uuid.uuid4().hex), folder, tracked)

    def wait(self) -> Job:
        """Wait until the job has ended; return it."""
        session = self.tracked.session
        eventually(lambda: session.job(self.id).is_finished, 400, f"{self.folder.name} has ended")
        return session.job(self.id)

    def completed(self) -> TrackedJob:
        """Wait until the job has completed."""
        job = self.wait()
        assert job.status == "FINISHED:COMPLETED", (job, self.tracked.session.error_logs(self.id))
        return self


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Return the values of a tag as TensorBoard reads them from all event files."""
    return [(event.step, event.value) for event in read_run(folder).Scalars(tag)]

"""MLflow: one run a job, found again by the job's id: a second process goes on where a first one ended."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from fl_app.tracking.forward.receiver import NotTaken, Unreachable, key_of
from fl_app.tracking.points import AnyPoint, Kind, Scalar
from fl_app.tracking.queue import QueuedJob

JOB_TAG = "flarefleet.job_id"
REQUEST_SECONDS = 10
LONGEST_REQUEST_SECONDS = 20
"""Whatever MLFLOW_HTTP_REQUEST_TIMEOUT says: the five questions that find or make a run must all be through
before this process counts as one that hangs (`fl_app.tracking.sending.SILENT_SECONDS`)."""
_FOR_GOOD = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE")
_UNFIT_FOR_A_KEY = re.compile(r"[^A-Za-z0-9_\-. /:]")
_MAX_KEY, _MAX_PARAMETER, _MAX_TAG = 250, 6000, 5000
_STATUS = {"FINISHED:COMPLETED": "FINISHED", "FINISHED:ABORTED": "KILLED"}

_T = TypeVar("_T")


class MLflow:
    """A tracking server, at MLFLOW_TRACKING_URI with the credentials that MLflow's own variables hold."""

    name = "mlflow"
    batch = 1000

    def __init__(self, queue: Path) -> None:
        _speak_up()
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._runs: dict[str, str] = {}

    def open(self, job: QueuedJob, run: str) -> str:
        """See `fl_app.tracking.forward.receiver.Receiver.open`."""
        if job.id not in self._runs:
            self._runs[job.id] = run or _asking(lambda: self._find(job) or self._create(job))
        return self._runs[job.id]

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.send`."""
        from mlflow.entities import Metric, Param, RunTag

        metrics, parameters, tags = [], {}, {}
        for point in points:
            key = _UNFIT_FOR_A_KEY.sub("_", key_of(job, point))[:_MAX_KEY]
            if isinstance(point, Scalar):
                metrics.append(Metric(key, point.value, int(point.time * 1000), point.step))
            elif point.kind is Kind.PARAMETER:
                parameters[key] = str(getattr(point, "value", ""))[:_MAX_PARAMETER]
            else:
                tags[key] = str(getattr(point, "value", ""))[:_MAX_TAG]
        _asking(
            lambda: self._client.log_batch(
                run,
                metrics=metrics,
                params=[Param(key, value) for key, value in parameters.items()],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )
        )

    def end(self, job: QueuedJob, run: str) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.end`."""
        _asking(lambda: self._client.set_terminated(run, _STATUS.get(job.status, "FAILED")))
        self._runs.pop(job.id, None)

    def _find(self, job: QueuedJob) -> str:
        found = self._client.search_runs(
            [self._experiment(job)], f"tags.`{JOB_TAG}` = '{job.id}'", max_results=1
        )
        return str(found[0].info.run_id) if found else ""

    def _create(self, job: QueuedJob) -> str:
        tags = {JOB_TAG: job.id, "flarefleet.project": job.project, "flarefleet.job": job.name}
        run = self._client.create_run(
            self._experiment(job), start_time=int(job.started * 1000), tags=tags, run_name=job.name
        )
        return str(run.info.run_id)

    def _experiment(self, job: QueuedJob) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or job.project
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))


def _speak_up() -> None:
    """Let MLflow's client say at once that its server does not answer, whatever is set for this machine.

    Its own retries would keep this process in one call for minutes, without a word; the queue tries again.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    wanted = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    seconds = int(wanted) if wanted.isdecimal() and int(wanted) else REQUEST_SECONDS
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(min(seconds, LONGEST_REQUEST_SECONDS))


def _asking(question: Callable[[], _T]) -> _T:
    from mlflow.exceptions import MlflowException

    try:
        return question()
    except MlflowException as error:
        text = " ".join(str(error).split())[:500]
        if error.error_code in _FOR_GOOD:
            raise NotTaken(text) from error
        raise Unreachable(text) from error
    except OSError as error:  # what requests raises is one, too
        raise Unreachable(str(error)) from error

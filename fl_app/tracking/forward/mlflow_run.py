"""Receiver for MLflow: one run for each job, found by a tag with the job's id."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from fl_app.tracking.forward.receiver import (
    RefusedError,
    RunRefusedError,
    UnavailableError,
    is_refusal,
    key_of,
)
from fl_app.tracking.points import AnyPoint, Kind, ScalarPoint
from fl_app.tracking.queue import QueuedJob

JOB_TAG = "flarefleet.job_id"
REQUEST_SECONDS = 10
MAX_REQUEST_SECONDS = 20
"""Upper bound of MLFLOW_HTTP_REQUEST_TIMEOUT. The five requests that find or create a run must end before the
sender counts as stalled (`fl_app.tracking.sender_supervisor.STALLED_SECONDS`)."""
_INVALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_STATUS_IN_TEXT = re.compile(r"failed with error code (\d{3})")
"""HTTP status of a proxy's answer, which MLflow's client does not always translate to a code of its own."""
_INVALID_IN_KEY = re.compile(r"[^A-Za-z0-9_\-. /:]")
_MAX_KEY, _MAX_PARAMETER, _MAX_TAG = 250, 6000, 5000
_STATUS = {"FINISHED:COMPLETED": "FINISHED", "FINISHED:ABORTED": "KILLED"}

_T = TypeVar("_T")


class MLflow:
    """MLflow tracking server at MLFLOW_TRACKING_URI. MLflow's own variables hold the credentials."""

    name = "mlflow"
    batch = 1000

    def __init__(self, queue: Path) -> None:
        _limit_retries()
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._runs: dict[str, str] = {}

    def open(self, job: QueuedJob) -> str:
        """See `fl_app.tracking.forward.receiver.Receiver.open`."""
        if job.id not in self._runs:
            self._runs[job.id] = job.run or _request(lambda: self._find(job) or self._create(job))
        return self._runs[job.id]

    def send(self, job: QueuedJob, points: Sequence[AnyPoint]) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.send`."""
        from mlflow.entities import Metric, Param, RunTag

        metrics, parameters, tags = [], {}, {}
        for point in points:
            key = _INVALID_IN_KEY.sub("_", key_of(job, point))[:_MAX_KEY]
            if isinstance(point, ScalarPoint):
                metrics.append(Metric(key, point.value, int(point.time * 1000), point.step))
            elif point.kind is Kind.PARAMETER:
                parameters[key] = str(getattr(point, "value", ""))[:_MAX_PARAMETER]
            else:
                tags[key] = str(getattr(point, "value", ""))[:_MAX_TAG]
        try:
            _request(
                lambda: self._client.log_batch(
                    job.run,
                    metrics=metrics,
                    params=[Param(key, value) for key, value in parameters.items()],
                    tags=[RunTag(key, value) for key, value in tags.items()],
                ),
                RefusedError,
            )
        except RefusedError:
            if _request(lambda: self._client.get_run(job.run)).info.lifecycle_stage == "deleted":
                raise RunRefusedError(f"the run {job.run} was deleted") from None
            raise

    def close(self, job: QueuedJob) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.close`."""
        _request(lambda: self._client.set_terminated(job.run, _STATUS.get(job.status, "FAILED")))
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


def _limit_retries() -> None:
    """Disable the retries of MLflow's client, whatever the environment says.

    They would block this process for minutes; the forwarder retries, and reports that MLflow is unavailable.
    """
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    requested = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
    seconds = int(requested) if requested.isdecimal() and int(requested) else REQUEST_SECONDS
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(min(seconds, MAX_REQUEST_SECONDS))


def _request(call: Callable[[], _T], invalid: type[Exception] = RunRefusedError) -> _T:
    """Return the result of a request.

    Args:
        call: the request.
        invalid: error to raise if MLflow refuses the content of the request.

    Raises:
        RunRefusedError: MLflow refuses the request, and a retry cannot help.
        UnavailableError: MLflow does not answer, or is busy.
    """
    from mlflow.exceptions import MlflowException

    try:
        return call()
    except MlflowException as error:
        text = " ".join(str(error).split())[:500]
        found = _STATUS_IN_TEXT.search(text)
        status = int(found[1]) if found else error.get_http_status_code()
        if status in _INVALID:
            raise invalid(text) from error
        if is_refusal(status) or error.error_code == "INVALID_STATE":
            raise RunRefusedError(text) from error
        raise UnavailableError(text) from error
    except OSError as error:  # includes the errors of requests
        raise UnavailableError(str(error)) from error

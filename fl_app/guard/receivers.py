"""Failures of NVFlare's analytics receivers, which NVFlare only logs."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.widgets.streaming import AnalyticsReceiver

from fl_app.guard.finding import Finding
from fl_app.nvflare_internals.guard import ReceiverFailure, has_started, receiver_failures
from fl_app.survival.resumable import Attributes, Resumable, ResumableParts

MLFLOW_TIMEOUTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""Environment of MLflow. Its defaults retry for minutes while the job waits before its first round."""
_MLFLOW_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "120", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}

WANTS_METRICS = "wants_metrics"
"""Attribute of Flarefleet's receivers: whether the user asked for tracking and metrics must arrive."""

_TRANSIENT = re.compile(r"connect|timed? ?out|max retries|unreachable|\b50[234]\b", re.IGNORECASE)
"""Failures that may be temporary: the guard ends the job after its training, not during it."""
_MAX_REASON = 400
_WHAT_FAILED = {
    "initialize": "could not start",
    "save": "could not store metrics",
    "finalize": "could not store the last metrics",
}


def shorten_mlflow_timeouts() -> None:
    """Make MLflow fail within seconds if its server is unreachable, unless the environment says otherwise."""
    for name, value in MLFLOW_TIMEOUTS.items():
        os.environ.setdefault(name, value)


def restore_mlflow_timeouts() -> None:
    """Undo `shorten_mlflow_timeouts`, in this process and for a second guard of the job."""
    for name, value in MLFLOW_TIMEOUTS.items():
        if os.environ.get(name, value) == value:
            os.environ[name] = _MLFLOW_DEFAULTS[name]


class ReceiverMonitor(logging.Handler, ResumableParts):
    """Collect the failures that a job's receivers log, and count the metrics that arrive.

    Args:
        site: `server`, or the name of a site.
        components: components of the job, by id.
    """

    def __init__(self, site: str, components: Mapping[str, Any]) -> None:
        super().__init__(logging.ERROR)
        self._site = site
        self._receivers = {
            name: component
            for name, component in components.items()
            if isinstance(component, AnalyticsReceiver)
        }
        self._failures: list[Finding] = []
        self._transient: list[Finding] = []
        self._metrics = 0
        self._loggers = {receiver.logger for receiver in self._receivers.values()}
        for logger in self._loggers:
            logger.addHandler(self)

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return the number of metrics so far."""
        return {"metrics": Attributes(self, ("_metrics",))}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a receiver's failure until it is reported."""
        try:
            for failure in receiver_failures(record.getMessage()):
                is_transient = failure.step == "save" and _TRANSIENT.search(failure.reason)
                kept = self._transient if is_transient else self._failures
                kept.append(self._finding(record.name.rpartition(".")[2], failure))
        except Exception:  # such as a wrong format of the message
            self.handleError(record)

    def _finding(self, class_name: str, failure: ReceiverFailure) -> Finding:
        ids = [name for name, one in self._receivers.items() if type(one).__name__ == class_name]
        return Finding(
            f"tracking {_WHAT_FAILED[failure.step]}: {_first_line(failure.reason)}",
            "Fix the tracking, or remove it from the job: otherwise metrics are lost.",
            site=self._site,
            key=f"{', '.join(ids)} ({class_name})" if ids else class_name,
            rule="tracking",
        )

    def close(self) -> None:
        """Stop listening to the receivers."""
        for logger in self._loggers:
            logger.removeHandler(self)
        super().close()

    def count_metric(self) -> None:
        """Record that a metric was logged."""
        self._metrics += 1

    def next_failure(self) -> Finding | None:
        """Return the first failure that must end the job now, and forget it."""
        return self._failures.pop(0) if self._failures else None

    def transient_failure(self) -> Finding | None:
        """Return the first metric that was lost while a tracker was unreachable, for the end of the job."""
        return self._transient[0] if self._transient else None

    def not_started(self, error_log: Path) -> Finding | None:
        """Return a receiver that failed to start.

        Args:
            error_log: log of this job in this process. A receiver may fail before this monitor listens.
        """
        for name, receiver in self._receivers.items():
            if not has_started(receiver):
                reason = _last_start_failure(error_log)
                return Finding(
                    f"tracking could not start{f': {reason}' if reason else ''}",
                    "Fix the tracking, or remove it from the job: otherwise nothing is tracked.",
                    site=self._site,
                    key=f"{name} ({type(receiver).__name__})",
                    rule="tracking",
                )
        return None

    def nothing_logged(self) -> Finding | None:
        """Return a finding if the user asked for tracking and no site has logged a metric."""
        requested = [name for name, receiver in self._receivers.items() if _is_requested(receiver)]
        if not requested or self._metrics:
            return None
        return Finding(
            "tracking is configured, but no site logged a metric",
            "Log metrics in the client (SummaryWriter.add_scalar, SiteTraining.log), or remove the tracking.",
            site=self._site,
            key=", ".join(requested),
            rule="nothing_logged",
        )


def error_log_of(fl_ctx: FLContext) -> Path:
    """Return the error log of this job in this process."""
    return Path(fl_ctx.get_engine().get_workspace().get_app_error_log_file_path(fl_ctx.get_job_id()))


def _last_start_failure(error_log: Path) -> str:
    try:
        log = error_log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    reasons = [failure.reason for failure in receiver_failures(log) if failure.step == "initialize"]
    return _first_line(reasons[-1]) if reasons else ""


def _first_line(reason: str) -> str:
    return reason.strip().partition("\n")[0][:_MAX_REASON].rstrip(". ")


def _is_requested(receiver: AnalyticsReceiver) -> bool:
    """Return whether the user asked for this receiver; Flarefleet adds its own receivers to every job."""
    is_builtin = type(receiver).__module__.startswith("fl_app.")
    return bool(getattr(receiver, WANTS_METRICS, not is_builtin))

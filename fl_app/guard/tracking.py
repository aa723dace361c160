"""NVFlare's analytics receivers say their failures in a log and nowhere else; here they are heard."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.widgets.streaming import AnalyticsReceiver

from fl_app.guard.finding import Finding

HURRY = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""MLflow's own settings. With its defaults it tries for minutes to reach a server that is not there, while
NVFlare's job waits for it before its first round."""
_OWN_PACE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "120", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7"}

WANTS_METRICS = "wants_metrics"
"""An attribute by which a receiver of the kit says that it was asked for, and is to get something."""

_FAILED = re.compile(r"Receiver (?P<step>initialize|save method|finalize) failed with (?P<why>.*)")
_PASSING = re.compile(r"connect|timed? ?out|max retries|unreachable|\b50[234]\b", re.IGNORECASE)
"""Failures that may be over in a minute: days of training are not ended for them, the job is, at its end."""
_SHOWN = 400
_STEPS = {
    "initialize": "could not start",
    "save method": "could not store what was logged",
    "finalize": "could not store the last of what was logged",
}


def hurry() -> None:
    """Let MLflow give up after seconds, where nobody has said otherwise."""
    for name, value in HURRY.items():
        os.environ.setdefault(name, value)


def keep_own_pace() -> None:
    """Let MLflow take the time that it takes by itself, whatever another guard of this job does."""
    for name, value in HURRY.items():
        if os.environ.get(name, value) == value:
            os.environ[name] = _OWN_PACE[name]


class ReceiverWatch(logging.Handler):
    """Hears what the receivers of a job say, and counts what they get.

    Args:
        place: `server`, or a site's name.
        components: the job's components, by id.
    """

    def __init__(self, place: str, components: Mapping[str, Any]) -> None:
        super().__init__(logging.ERROR)
        self._place = place
        self._receivers = {
            name: one for name, one in components.items() if isinstance(one, AnalyticsReceiver)
        }
        self._heard: list[Finding] = []
        self._lost: list[Finding] = []
        self._points = 0
        for logger in self._loggers():
            logger.addHandler(self)

    def _loggers(self) -> Iterable[logging.Logger]:
        return {one.logger for one in self._receivers.values()}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the failure of a receiver until it can be reported."""
        match = _FAILED.search(record.getMessage())
        if match:
            passing = match["step"] == "save method" and _PASSING.search(match["why"])
            kept = self._lost if passing else self._heard
            kept.append(self._failure(record.name.rpartition(".")[2], match))

    def _failure(self, receiver: str, match: re.Match[str]) -> Finding:
        return Finding(
            f"tracking {_STEPS[match['step']]}: {_shortened(match['why'])}",
            "Mend it, or take the tracking out of the job: with this it is lost, in silence.",
            site=self._place,
            key=self._named(receiver),
        )

    def _named(self, receiver: str) -> str:
        ids = [name for name, one in self._receivers.items() if type(one).__name__ == receiver]
        return f"{', '.join(ids)} ({receiver})" if ids else receiver

    def close(self) -> None:
        """Hear nothing more."""
        for logger in self._loggers():
            logger.removeHandler(self)
        super().close()

    def count_point(self) -> None:
        """Something was logged."""
        self._points += 1

    def take(self) -> Finding | None:
        """The first failure that was heard and is to end the job now, once."""
        return self._heard.pop(0) if self._heard else None

    def lost(self) -> Finding | None:
        """The first of what was lost while a tracker could not be reached, for the end of the job."""
        return self._lost[0] if self._lost else None

    def not_started(self, error_log: Path) -> Finding | None:
        """A receiver that has not begun although the job has.

        Args:
            error_log: of this job in this process: receivers are told to start before the guard hears.
        """
        for name, receiver in self._receivers.items():
            if getattr(receiver, "_initialized", True) is False:
                said = _last_failure(error_log)
                return Finding(
                    f"tracking could not start{f': {said}' if said else ''}",
                    "Mend it, or take the tracking out of the job: with this nothing would be tracked.",
                    site=self._place,
                    key=f"{name} ({type(receiver).__name__})",
                )
        return None

    def nothing_logged(self) -> Finding | None:
        """Tracking was asked for, and no site has logged anything."""
        asked = [name for name, receiver in self._receivers.items() if _wants_metrics(receiver)]
        if not asked or self._points:
            return None
        return Finding(
            "tracking is configured, and no site has logged anything",
            "Let the client log (SummaryWriter.add_scalar, or SiteTraining.log), or take the tracking out.",
            site=self._place,
            key=", ".join(asked),
        )


def error_log_of(fl_ctx: FLContext) -> Path:
    """The errors of this job in this process."""
    return Path(fl_ctx.get_engine().get_workspace().get_app_error_log_file_path(fl_ctx.get_job_id()))


def _last_failure(error_log: Path) -> str:
    """Why a receiver did not start, as it said in the log; empty if it is not there."""
    try:
        log = error_log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    said = [match["why"] for match in _FAILED.finditer(log) if match["step"] == "initialize"]
    return _shortened(said[-1]) if said else ""


def _shortened(why: str) -> str:
    """One line of it, without its full stop."""
    return why.strip().partition("\n")[0][:_SHOWN].rstrip(". ")


def _wants_metrics(receiver: AnalyticsReceiver) -> bool:
    """Whether somebody asked for it: the kit's own also come with jobs that log nothing."""
    own = type(receiver).__module__.startswith("fl_app.")
    return bool(getattr(receiver, WANTS_METRICS, not own))

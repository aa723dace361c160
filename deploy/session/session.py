"""Requests of an administrator to a running federation; each reconnects if the connection is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deploy.errors import Failed
from deploy.session.kit import AdminKit
from deploy.session.nvflare_output import suppressed
from deploy.session.requests import PermissionDenied, ServerFailed, ServerRequests, is_lost
from fl_app.guard.warnings import WARNINGS_META
from fl_app.survival.interventions import ABORTED_BY_META, HISTORY_META, Intervention
from fl_app.telemetry.job_progress import (
    PENDING_GROUP,
    PROGRESS_META,
    SERVER_PENDING_REASON,
    STATS_GROUP,
    JobProgress,
    SiteProgress,
    read_progress,
)

COMPLETED = "FINISHED:COMPLETED"
RUNNING = "RUNNING"
SUBMITTED = "SUBMITTED"
NEVER_STARTED = "FINISHED:CAN_NOT_SCHEDULE"

_ERROR_LOG = "ERRORLOG_"


@dataclass(frozen=True)
class Job:
    """A job on the server."""

    id: str
    name: str
    status: str
    """SUBMITTED, DISPATCHED, RUNNING, or FINISHED:RESULT."""
    submitter: str
    submitted: datetime
    duration: str
    """H:MM:SS.ffffff since the start; empty before."""
    waits_for: str
    """The server's reason for not having started the job; empty if there is none."""
    server_waits_for: str
    """Kubernetes' reason why the job's pod on the server is not running yet; empty if there is none."""
    warnings: tuple[str, ...] = ()
    """Warnings of the guard, of a job that has ended."""
    aborted_by: str = ""
    """The administrator who aborted the job; empty if none did."""
    history: tuple[Intervention, ...] = ()
    """What survival did for the job, oldest first."""
    progress: JobProgress | None = None
    """Rounds and metrics at the end, of a job that has ended."""

    @property
    def is_finished(self) -> bool:
        """Return whether the job has ended, with any result."""
        return self.status.startswith("FINISHED")

    @classmethod
    def of(cls, meta: dict[str, Any]) -> Job:
        """Return the job that NVFlare's job meta describes."""
        attempts = [line for line in meta.get("schedule_history") or () if not line.endswith(": scheduled")]
        status = str(meta["status"])
        return cls(
            id=str(meta["job_id"]),
            name=str(meta["name"]),
            status=status,
            submitter=str(meta.get("submitter_name", "")),
            submitted=datetime.fromtimestamp(float(meta.get("submit_time") or 0), timezone.utc),
            duration="" if meta.get("duration") in (None, "N/A") else str(meta["duration"]),
            waits_for=attempts[-1] if attempts and status in (SUBMITTED, NEVER_STARTED) else "",
            warnings=tuple(str(line) for line in meta.get(WARNINGS_META) or ()),
            server_waits_for=str(meta.get(SERVER_PENDING_REASON, "")),
            aborted_by=str(meta.get(ABORTED_BY_META, "")),
            history=tuple(_interventions(meta.get(HISTORY_META))),
            progress=read_progress(meta.get(PROGRESS_META)),
        )


class AdminSession:
    """A login to the server. `log_in` is called again if the connection is lost."""

    def __init__(self, kit: AdminKit, log_in: Callable[[], Any]) -> None:
        self.kit = kit
        self._requests = ServerRequests(kit, log_in)
        self._request = self._requests.send

    def wait_for_server(self, seconds: float, notify: Callable[[str], None]) -> None:
        """Repeat requests for this time while the server does not answer, and tell the user of an outage.

        Args:
            seconds: how long to repeat each request (default of a session: RECONNECT_TIMEOUT).
            notify: called with a sentence for the user.
        """
        self._requests.patience = seconds
        self._requests.notify = notify

    def close(self) -> None:
        """Log out. Otherwise the interpreter hangs at exit."""
        self._requests.close()

    def sites(self) -> tuple[str, ...]:
        """Return the names of the registered sites."""
        info = self._request(lambda api: api.get_system_info())
        return tuple(sorted(client.name for client in info.client_info))

    def submit(self, folder: Path, token: str) -> str:
        """Submit a job and return its id.

        Args:
            folder: an exported job; NVFlare writes signatures into it.
            token: a second submission with the same token returns the same job.
        """
        return str(self._request(lambda api: api.submit_job(str(folder), submit_token=token)))

    def job(self, job_id: str, timeout: float = math.inf) -> Job:
        """Return the job with this id.

        Args:
            timeout: seconds after which a server that does not answer is given up, if this is sooner.

        Raises:
            InputError: there is no such job.
        """
        return Job.of(self._request(lambda api: api.get_job_meta(job_id), job_id, timeout))

    def jobs(self) -> tuple[Job, ...]:
        """Return all jobs in the server's store, oldest first."""
        metas = self._request(lambda api: api.list_jobs(detailed=True))
        return tuple(sorted((Job.of(meta) for meta in metas), key=lambda job: job.submitted))

    def progress(self, job_id: str) -> JobProgress | None:
        """Return the progress of a running job; None if its process does not answer."""
        from nvflare.fuel.flare_api.api_spec import InternalError, JobNotFound, JobNotRunning

        try:
            with suppressed():
                stats = self._requests.api.show_stats(job_id, "server")
        except (JobNotFound, JobNotRunning, InternalError, RuntimeError):
            return None
        except Exception as error:
            if is_lost(error):
                return None  # the next request reconnects
            raise
        try:
            return _add_waiting_sites(
                JobProgress.model_validate(stats["server"][STATS_GROUP]), stats["server"].get(PENDING_GROUP)
            )
        except (KeyError, TypeError, ValueError):
            return None

    def abort(self, job_id: str) -> None:
        """Abort a running or waiting job.

        Raises:
            Failed: the server cannot abort it now.
        """
        try:
            self._request(lambda api: api.abort_job(job_id), job_id)
        except ServerFailed as error:
            if "is not running" not in str(error):
                raise Failed(f"the server did not abort the job {job_id}: {error}") from error
            raise Failed(
                f"the job {job_id} has no process on the server that could be aborted: it is ending, or the "
                f"server takes it over after a restart. Look at it, then try again: flarefleet watch {job_id}"
            ) from error

    def download(self, job_id: str, into: Path) -> Path:
        """Download the results of a finished job into a new folder below `into`, and return it."""
        return Path(self._request(lambda api: api.download_job_result(job_id, str(into)), job_id))

    def error_logs(self, job_id: str) -> dict[str, str]:
        """Return the error log of each site that sent one; a site sends it when its job process exits.

        The result is empty if the administrator may not read the logs: NVFlare's default policy allows it
        only to a project_admin.
        """
        try:
            names = self._request(lambda api: api.list_job_components(job_id), job_id)
            if not any(name.startswith(_ERROR_LOG) for name in names):
                return {}
            folder = Path(self._request(lambda api: api.download_job_components(job_id), job_id))
        except PermissionDenied:
            return {}
        return {file.name.removeprefix(_ERROR_LOG): _text(file) for file in folder.rglob(f"{_ERROR_LOG}*")}

    def server_log(self, job_id: str) -> str:
        """Return the log of the server's job process; empty if there is none."""
        try:
            answer = self._request(lambda api: api.get_job_logs(job_id, "server"), job_id)
        except PermissionDenied:
            return self._server_log_of_results(job_id)
        return str(answer["logs"].get("server", ""))

    def _server_log_of_results(self, job_id: str) -> str:
        """Return the log from the job's results, which the submitter may download."""
        with TemporaryDirectory(prefix="flarefleet-results-") as made:
            log = self.download(job_id, Path(made)) / "workspace" / "log.txt"
            return _text(log) if log.is_file() else ""


def _interventions(documents: Any) -> Iterator[Intervention]:
    for document in documents if isinstance(documents, list) else ():
        try:
            yield Intervention.of(document)
        except (ValueError, AttributeError):  # of another release
            continue


def _add_waiting_sites(progress: JobProgress, waiting: dict[str, str] | None) -> JobProgress:
    sites = dict(progress.sites)
    for site, reason in (waiting or {}).items():
        sites[site] = sites.get(site, SiteProgress()).model_copy(update={"waits_for": str(reason)})
    return progress.model_copy(update={"sites": sites})


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")

"""Requests of an administrator to a running federation; each reconnects if the connection is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from deploy.errors import Failed
from deploy.session.job import COMPLETED, NEVER_STARTED, RUNNING, SERVER, SUBMITTED, Job
from deploy.session.kit import AdminKit
from deploy.session.nvflare_output import suppressed
from deploy.session.requests import PermissionDenied, ServerFailed, ServerRequests, is_lost
from deploy.session.server_time import server_time
from fl_app.telemetry.job_progress import PENDING_GROUP, STATS_GROUP, JobProgress, SiteProgress
from fl_app.temporary_folders import temporary_folder

__all__ = ["COMPLETED", "NEVER_STARTED", "RUNNING", "SERVER", "SUBMITTED", "AdminSession", "Job"]

ALL = "all"
"""The server and all sites, in a request for logs."""
_MAX_PROGRESS = 8
"""Running jobs whose progress is requested for a list."""
_ERROR_LOG = "ERRORLOG_"
_EXTRA = (_ERROR_LOG, "LOG_")
"""Prefixes of components besides the results."""


@dataclass(frozen=True)
class FederationState:
    """The federation as its server sees it."""

    now: datetime
    """Time of the answer by the server's clock."""
    started: datetime
    heartbeats: dict[str, datetime]
    """Time of the last heartbeat of each registered site."""
    running: tuple[str, ...]
    """Ids of the running jobs."""


class AdminSession:
    """A login to the server. `log_in` is called again if the connection is lost."""

    def __init__(self, kit: AdminKit, log_in: Callable[[], Any]) -> None:
        self.kit = kit
        self.seen: dict[str, str] = {}
        """Name and status of the jobs that the server has named, by id."""
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

    def federation(self) -> FederationState:
        """Return the registered sites with their heartbeats, and the running jobs."""
        info = self._request(lambda api: api.get_system_info())
        reply = self._request(lambda api: api.api.do_command("check_status server"))
        return FederationState(
            now=server_time(reply) or datetime.now(timezone.utc),
            started=_time(info.server_info.start_time),
            heartbeats={client.name: _time(client.last_connect_time) for client in info.client_info},
            running=tuple(str(job.job_id) for job in info.job_info),
        )

    def submit(self, folder: Path, token: str) -> str:
        """Submit a job and return its id.

        Args:
            folder: an exported job; NVFlare writes signatures into it.
            token: a second submission with the same token returns the same job.
        """
        job_id = str(self._request(lambda api: api.submit_job(str(folder), submit_token=token)))
        self.seen[job_id] = f"{folder.name}, submitted"
        return job_id

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
        found = tuple(sorted((Job.of(meta) for meta in metas), key=lambda job: job.submitted))
        self.seen = {job.id: f"{job.name}, {job.status}" for job in found}
        return found

    def with_progress(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Return the jobs, those that are running with their progress: the latest ones, if there are many."""
        running = [job.id for job in jobs if job.status == RUNNING and not job.server_waits_for]
        now = {job_id: self.progress(job_id) for job_id in running[-_MAX_PROGRESS:]}
        return tuple(replace(job, progress=now.get(job.id) or job.progress) for job in jobs)

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

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its results.

        Raises:
            Failed: the job is running, or the server cannot delete it.
        """
        from nvflare.fuel.flare_api.api_spec import JobNotDone

        def delete(api: Any) -> None:
            try:
                api.delete_job(job_id)
            except JobNotDone as error:
                raise Failed(
                    f"the job {job_id} is running. Abort it first: flarefleet abort {job_id}"
                ) from error

        self._request(delete, job_id)

    def download(self, job_id: str, into: Path) -> Path:
        """Download the results of a finished job into a new folder below `into`, and return it."""
        return Path(self._request(lambda api: api.download_job_result(job_id, str(into)), job_id))

    def error_logs(self, job_id: str) -> dict[str, str]:
        """Return the error log of each site that sent one; a site sends it when its job process exits.

        The result is empty if the administrator may not read the logs: NVFlare's default policy allows it
        only to a project_admin.
        """
        try:
            files = self.components(job_id, _ERROR_LOG)
        except PermissionDenied:
            return {}
        return {name.removeprefix(_ERROR_LOG): _text(file) for name, file in files.items()}

    def components(self, job_id: str, prefix: str = "") -> dict[str, Path]:
        """Download what the server has of a job besides its results: logs of sites, event files.

        Args:
            job_id: the job, which may be running.
            prefix: download nothing if no name begins with it.

        Returns:
            Name of each component -> its file, or the folder of an archive, which the caller may move.

        Raises:
            PermissionDenied: the administrator may not read the logs of this job.
        """
        names = self._request(lambda api: api.list_job_components(job_id), job_id)
        extra = [name for name in names if name.startswith(_EXTRA) and name.startswith(prefix)]
        if not extra:
            return {}
        folder = Path(self._request(lambda api: api.download_job_components(job_id), job_id))
        found = {name: folder / name.removesuffix(".zip") for name in extra}  # NVFlare unpacks archives
        return {name: path for name, path in found.items() if path.exists()}

    def server_log(self, job_id: str) -> str:
        """Return the log of the server's job process; empty if there is none."""
        try:
            return self.logs(job_id, SERVER).get(SERVER, "")
        except PermissionDenied:
            return self._server_log_of_results(job_id)

    def logs(self, job_id: str, site: str) -> dict[str, str]:
        """Return the logs of a job that the server has, by site: the last 5 MiB of each.

        Args:
            job_id: the job.
            site: SERVER, the name of a site, or ALL.

        Raises:
            PermissionDenied: the administrator may not read the logs of this job.
        """
        answer = self._request(lambda api: api.get_job_logs(job_id, site), job_id)
        return {str(name): str(text) for name, text in answer["logs"].items()}

    def _server_log_of_results(self, job_id: str) -> str:
        """Return the log from the job's results, which the submitter may download."""
        with temporary_folder("flarefleet-results-") as made:
            log = self.download(job_id, made / "download") / "workspace" / "log.txt"
            return _text(log) if log.is_file() else ""


def _add_waiting_sites(progress: JobProgress, waiting: dict[str, str] | None) -> JobProgress:
    sites = dict(progress.sites)
    for site, reason in (waiting or {}).items():
        sites[site] = sites.get(site, SiteProgress()).model_copy(update={"waits_for": str(reason)})
    return progress.model_copy(update={"sites": sites})


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds or 0), timezone.utc)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")

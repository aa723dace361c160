"""What an administrator can ask of a running federation; every call survives a lost connection for a
while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from deploy.errors import Failed, InputError
from deploy.session.kit import AdminKit
from deploy.session.quiet import quiet
from fl_app.telemetry.job_progress import (
    SERVER_WAITS_FOR,
    STATS_GROUP,
    WAITING_GROUP,
    JobProgress,
    SiteProgress,
)

RECONNECT_FOR = 60.0
"""Seconds for which a lost connection is tried again before a command gives up."""

COMPLETED = "FINISHED:COMPLETED"
RUNNING = "RUNNING"
SUBMITTED = "SUBMITTED"
NEVER_STARTED = "FINISHED:CAN_NOT_SCHEDULE"

_ERROR_LOG = "ERRORLOG_"

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A job as the server keeps it."""

    id: str
    name: str
    status: str
    """SUBMITTED, DISPATCHED, RUNNING, or FINISHED:HOW."""
    submitter: str
    submitted: datetime
    duration: str
    """H:MM:SS.ffffff since its start; empty before."""
    waits_for: str
    """Why the server has not started it yet, or never did, in its words; empty if it has or has not tried."""
    server_waits_for: str
    """Why the job's pod on the server does not run yet, in Kubernetes' words; empty if it does."""

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, however."""
        return self.status.startswith("FINISHED")

    @classmethod
    def of(cls, meta: dict[str, Any]) -> Job:
        """From NVFlare's job meta."""
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
            server_waits_for=str(meta.get(SERVER_WAITS_FOR, "")),
        )


class NotReached(Failed):
    """The server cannot be reached now; it may be later."""


class NotAllowed(Failed):
    """The server does not let this administrator do that."""


class AdminSession:
    """One login.

    Args:
        kit: whose.
        log_in: makes a session of NVFlare's flare_api; called again when the connection is lost.
    """

    def __init__(self, kit: AdminKit, log_in: Callable[[], Any]) -> None:
        self.kit = kit
        self._log_in = log_in
        self._api: Any = log_in()

    def close(self) -> None:
        """Log out; the interpreter would hang at its end otherwise."""
        if self._api is not None:
            api, self._api = self._api, None
            with quiet():
                try:
                    api.close()
                except Exception:  # the server may be gone: nothing is left to log out from
                    api.api.close()

    def sites(self) -> tuple[str, ...]:
        """The names of the sites that are registered now."""
        info = self._ask(lambda api: api.get_system_info())
        return tuple(sorted(client.name for client in info.client_info))

    def submit(self, folder: Path, token: str) -> str:
        """Submit the job in `folder` (NVFlare writes its signatures into it) and return its id.

        Args:
            folder: an exported job.
            token: submitted again with the same token, the same job is returned and not started twice.
        """
        return str(self._ask(lambda api: api.submit_job(str(folder), submit_token=token)))

    def job(self, job_id: str) -> Job:
        """The job with this id.

        Raises:
            InputError: there is none.
        """
        return Job.of(self._ask(lambda api: api.get_job_meta(job_id), job_id))

    def jobs(self) -> tuple[Job, ...]:
        """Every job that the server keeps, oldest first."""
        metas = self._ask(lambda api: api.list_jobs(detailed=True))
        return tuple(sorted((Job.of(meta) for meta in metas), key=lambda job: job.submitted))

    def progress(self, job_id: str) -> JobProgress | None:
        """How far a running job is; None while its process cannot be asked, or if nothing in it answers."""
        from nvflare.fuel.flare_api.api_spec import InternalError, JobNotFound, JobNotRunning

        try:
            with quiet():
                stats = self._api.show_stats(job_id, "server")
        except (JobNotFound, JobNotRunning, InternalError, RuntimeError):
            return None
        except Exception as error:
            if _is_lost(error):
                return None  # the next question about its status reconnects
            raise
        try:
            return _with_waiting(
                JobProgress.model_validate(stats["server"][STATS_GROUP]), stats["server"].get(WAITING_GROUP)
            )
        except (KeyError, TypeError, ValueError):
            return None

    def abort(self, job_id: str) -> None:
        """End a job that runs or waits."""
        self._ask(lambda api: api.abort_job(job_id), job_id)

    def download(self, job_id: str, into: Path) -> Path:
        """Download the server's results of a finished job into a new folder below `into`, and return it."""
        return Path(self._ask(lambda api: api.download_job_result(job_id, str(into)), job_id))

    def error_logs(self, job_id: str) -> dict[str, str]:
        """The error log of each site that sent one; sites send theirs when their part of the job has ended.

        Nothing for an administrator who may not read them: a stock kit lets only a project_admin.
        """
        try:
            names = self._ask(lambda api: api.list_job_components(job_id), job_id)
            if not any(name.startswith(_ERROR_LOG) for name in names):
                return {}
            folder = Path(self._ask(lambda api: api.download_job_components(job_id), job_id))
        except NotAllowed:
            return {}
        return {file.name.removeprefix(_ERROR_LOG): _text(file) for file in folder.rglob(f"{_ERROR_LOG}*")}

    def server_log(self, job_id: str) -> str:
        """The log of the server's job process; empty if it has none."""
        try:
            answer = self._ask(lambda api: api.get_job_logs(job_id, "server"), job_id)
        except NotAllowed:
            return self._server_log_of_results(job_id)
        return str(answer["logs"].get("server", ""))

    def _server_log_of_results(self, job_id: str) -> str:
        """The same from the job's results, which whoever submitted it may download."""
        with TemporaryDirectory(prefix="flarefleet-results-") as made:
            log = self.download(job_id, Path(made)) / "workspace" / "log.txt"
            return _text(log) if log.is_file() else ""

    def _ask(self, question: Callable[[Any], T], job_id: str = "") -> T:
        """Ask, and ask again after a lost connection."""
        from nvflare.fuel.flare_api.api_spec import AuthorizationError, InvalidJobDefinition, JobNotFound

        retrying = Retrying(
            retry=retry_if_exception(_is_lost),
            wait=wait_exponential(0.2, max=2.0),
            stop=stop_after_delay(RECONNECT_FOR),
            before_sleep=lambda _: self._reconnect(),
            reraise=True,
        )
        try:
            with quiet():
                return retrying(lambda: question(self._connected()))
        except JobNotFound as error:
            raise InputError(
                f"there is no job {job_id} on this server; list them: flarefleet jobs"
            ) from error
        except AuthorizationError as error:
            raise NotAllowed(f"{self.kit.user} may not do this: {error}") from error
        except InvalidJobDefinition as error:
            raise Failed(f"the server refuses the job: {error}") from error
        except Exception as error:
            if _is_lost(error):
                raise Failed(
                    f"the connection to the server at {self.kit.address} is lost: {error}"
                ) from error
            raise

    def _connected(self) -> Any:
        if self._api is None:
            self._api = self._log_in()
        return self._api

    def _reconnect(self) -> None:
        """Drop the lost session; the next question logs in anew."""
        self.close()


def _with_waiting(progress: JobProgress, waiting: dict[str, str] | None) -> JobProgress:
    """With what the sites' launchers say of job pods that do not run yet."""
    sites = dict(progress.sites)
    for site, reason in (waiting or {}).items():
        sites[site] = sites.get(site, SiteProgress()).model_copy(update={"waits_for": str(reason)})
    return progress.model_copy(update={"sites": sites})


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _is_lost(error: BaseException) -> bool:
    from nvflare.fuel.flare_api.api_spec import NoConnection, NoReply, SessionClosed, SessionExpired

    return isinstance(error, NoConnection | NoReply | SessionClosed | SessionExpired | NotReached)

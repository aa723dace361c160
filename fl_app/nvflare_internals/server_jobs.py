"""Running jobs of NVFlare's server: their participants, their processes, and the reports they wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_constant import FLContextKey, RunProcessKey, SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job, JobMetaKey

USES = {
    "nvflare.private.fed.server.admin:FedAdminServer.client_dead": "log out a silent site",
    "nvflare.private.fed.server.client_manager:ClientManager.heartbeat": (
        "organization and configuration of a site that was logged out and comes back"
    ),
    "nvflare.private.fed.server.client_manager:ClientManager.name_to_clients": "registration of a site",
    "nvflare.private.fed.server.client_manager:ClientManager.remove_client": "log out a silent site",
    "nvflare.private.fed.server.fed_server:FederatedServer.remove_client_data": "log out a silent site",
    "nvflare.private.fed.server.server_engine:ServerEngine.run_processes": "participants of running jobs",
    "nvflare.private.fed.server.server_engine:ServerEngine.exception_run_processes": "why a job ended",
    "nvflare.private.fed.server.server_engine:ServerEngine.lock": "change the participants of a job",
    "nvflare.private.fed.server.server_engine:ServerEngine._start_runner_process": (
        "launch the server's process of a job that was running before the parent was restarted"
    ),
    "nvflare.private.fed.server.server_engine:ServerEngine.sync_clients_from_main_process": (
        "make new participants known to the server's process of a job"
    ),
    "nvflare.private.fed.server.job_runner:JobRunner._pending_client_outcomes": (
        "sites whose report a job waits for"
    ),
    "nvflare.private.fed.server.job_runner:JobRunner.resolve_client_outcome": "sites that are not waited for",
    "nvflare.private.fed.server.job_runner:JobRunner.is_client_outcome_pending": "sites that are waited for",
    "nvflare.private.fed.server.job_runner:JobRunner.fail_run": "failures of sites that do not end a job",
    "nvflare.private.fed.server.job_runner:JobRunner.running_jobs": "running jobs",
}

REPORTED_BY_SITE = "flarefleet_reported_by_site"
"""Key of the record of a job: whether a site reported the failure that ended it."""


@dataclass(frozen=True)
class Participant:
    """A site that takes part in a running job, as the server's job process must know it."""

    name: str
    token: str
    """The token of its registration: its job process sends it with every request."""
    props: Mapping[str, Any]
    """NVFlare's properties of the site: its cell, organization and configuration."""


class ServerJobs:
    """The running jobs of the server's parent.

    Args:
        engine: NVFlare's engine of the server's parent.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._logged_out: dict[str, Client] = {}

    def is_ready(self) -> bool:
        """Return whether the server has its certificate, with which it signs the tokens of job processes."""
        with self._engine.new_context() as fl_ctx:
            return fl_ctx.get_prop(FLContextKey.SERVER_CONFIG) is not None

    def running(self) -> frozenset[str]:
        """Return the ids of the jobs that have, or will have, a process."""
        return frozenset(self._engine.run_processes)

    def sites(self, job_id: str) -> frozenset[str]:
        """Return the names of the sites of a running job; empty for any other job."""
        return frozenset(one.name for one in self.participants().get(job_id, ()))

    def participants(self) -> dict[str, tuple[Participant, ...]]:
        """Return the participants of every running job, by id of the job."""
        return {
            job_id: tuple(map(_participant, (process.get(RunProcessKey.PARTICIPANTS) or {}).values()))
            for job_id, process in list(self._engine.run_processes.items())
        }

    def reserve(self, job_id: str, participants: Iterable[Participant]) -> None:
        """List a job as running before its process is launched, so that no site is told to end it."""
        with self._engine.lock:
            self._engine.run_processes[job_id] = {RunProcessKey.PARTICIPANTS: _clients(participants)}
        self._scheduler.restore_scheduled_job(job_id)

    def release(self, job_id: str) -> None:
        """Undo `reserve`."""
        with self._engine.lock:
            self._engine.run_processes.pop(job_id, None)
        self._scheduler.remove_scheduled_job(job_id)

    def adopt(self, job: Job, fl_ctx: FLContext) -> None:
        """Launch the server's process of a reserved job; the processes of its sites go on with it.

        NVFlare's own `restore_running_job` refuses a job that is listed as running.

        Raises:
            Exception: NVFlare could not launch the process.
        """
        runner, clients = self._runner, self._engine.run_processes[job.job_id][RunProcessKey.PARTICIPANTS]
        job.meta[JobMetaKey.JOB_CLIENTS] = [client.to_dict() for client in clients.values()]
        self._engine._start_runner_process(job, clients, None, fl_ctx)
        with runner.lock:
            runner.running_jobs[job.job_id] = job
            runner._pending_client_outcomes[job.job_id] = {client.name for client in clients.values()}

    def is_deployed(self, job_id: str) -> bool:
        """Return whether the server's files of a job are there."""
        return Path(self._engine.get_workspace().get_app_dir(job_id)).is_dir()

    def job(self, job_id: str) -> Job | None:
        """Return a job that runs on the server; None while it starts or ends."""
        job: Job | None = self._runner.running_jobs.get(job_id)
        return job

    def registered(self, site: str) -> Participant | None:
        """Return the current registration of a site."""
        client = self._engine.client_manager.name_to_clients.get(site)
        return None if client is None else _participant(client)

    def last_contacts(self) -> list[tuple[Participant, float]]:
        """Return each registration with the time of its last heartbeat, in seconds since 1970."""
        return [(_participant(client), client.last_connect_time) for client in self._engine.get_clients()]

    def log_out(self, token: str) -> None:
        """Remove a registration. The server's job processes are not told that the site is lost."""
        self._logged_out |= {one.name: one for one in self._engine.get_clients() if one.token == token}
        self._engine.client_manager.remove_client(token)
        self._engine.server.remove_client_data(token)
        self._engine.server.admin_server.client_dead(token)

    def restore_properties(self) -> None:
        """Give a site that was logged out its organization and configuration again when it comes back.

        A site sends them only when it registers; NVFlare's registration of its next heartbeat lacks them.
        """
        manager = self._engine.client_manager
        heartbeat = manager.heartbeat

        def heartbeat_and_restore(token: str, client_name: str, client_fqcn: str, fl_ctx: FLContext) -> bool:
            is_new = bool(heartbeat(token, client_name, client_fqcn, fl_ctx))
            known, client = self._logged_out.get(client_name), manager.name_to_clients.get(client_name)
            if is_new and known and client and known.token == client.token == token:
                client.props = known.props | client.props
            return is_new

        manager.heartbeat = heartbeat_and_restore

    def awaits_outcome(self, job_id: str, site: str) -> bool:
        """Return whether the job's end depends on a report of this site."""
        return bool(self._runner.is_client_outcome_pending(job_id, site))

    def ignore_outcome(self, job_id: str, site: str) -> None:
        """Let the job end without a report of this site, and ignore its failures."""
        self._runner.resolve_client_outcome(job_id, site)

    def await_outcome(self, job_id: str, site: str) -> None:
        """Undo `ignore_outcome`."""
        with self._runner.lock:
            self._runner._pending_client_outcomes.setdefault(job_id, set()).add(site)

    def awaited(self) -> dict[str, frozenset[str]]:
        """Return the sites whose report is awaited, by id of the job, of jobs whose own process has ended."""
        with self._runner.lock:
            awaited = {job: frozenset(sites) for job, sites in self._runner._pending_client_outcomes.items()}
        return {job: sites for job, sites in awaited.items() if sites and job not in self.running()}

    def replace_participant(self, job: Job, old_token: str, site: Participant) -> None:
        """Let a site take part in a running job under its current registration, or for the first time.

        Raises:
            KeyError: the job has ended.
        """
        process = self._engine.run_processes[job.job_id]
        with self._engine.lock:
            clients = {t: c for t, c in process[RunProcessKey.PARTICIPANTS].items() if t != old_token}
            process[RunProcessKey.PARTICIPANTS] = clients = clients | _clients([site])
        # A site's job process that is started without JOB_CLIENTS raises and never exits.
        job.meta[JobMetaKey.JOB_CLIENTS] = [client.to_dict() for client in clients.values()]

    def filter_failures(self, is_ignored: Callable[[str, int], bool]) -> None:
        """Call `is_ignored` with job and code for each failure that a site reports, and drop it if it is."""
        fail_run = self._runner.fail_run

        def fail_run_unless_ignored(job_id: str, process_return_code: int, fl_ctx: FLContext) -> str:
            if is_ignored(job_id, process_return_code):
                return ""
            result = str(fail_run(job_id, process_return_code, fl_ctx))
            if record := failed_process(self._engine, job_id):
                record[REPORTED_BY_SITE] = True
            return result

        self._runner.fail_run = fail_run_unless_ignored

    @property
    def _runner(self) -> Any:
        return self._engine.job_runner

    @property
    def _scheduler(self) -> Any:
        return self._engine.get_component(SystemComponents.JOB_SCHEDULER)


def failed_process(engine: Any, job_id: str) -> dict[str, Any] | None:
    """Return NVFlare's record of a job that failed, by RunProcessKey and REPORTED_BY_SITE."""
    record: dict[str, Any] | None = getattr(engine, "exception_run_processes", {}).get(job_id)
    return record


def sync_sites(engine: Any) -> None:
    """Read the participants of a job from the server's parent, in the server's process of the job.

    Raises:
        RuntimeError: the parent did not answer within 30 s.
    """
    engine.sync_clients_from_main_process()


def _participant(client: Client) -> Participant:
    return Participant(client.name, client.token, dict(client.props))


def _clients(participants: Iterable[Participant]) -> dict[str, Client]:
    clients = {}
    for one in participants:
        clients[one.token] = Client(one.name, one.token)
        clients[one.token].props = dict(one.props)
    return clients

"""Running jobs of NVFlare's server: take them over, and start them again at a site."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.fl_constant import FLContextKey, RunProcessKey, SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import ALL_SITES, Job, JobMetaKey
from nvflare.apis.job_scheduler_spec import DispatchInfo
from nvflare.private.admin_defs import Message, MsgHeader, ReturnCode
from nvflare.private.defs import ERROR_MSG_PREFIX, ClientStatusKey, TrainingTopic
from nvflare.private.fed.utils.fed_utils import extract_participants
from nvflare.utils.job_launcher_utils import get_resource_manager_spec

from fl_app.nvflare_internals.parent_messages import ask_job

USES = {
    "nvflare.private.admin_defs:Message": "ask a site which jobs it runs",
    "nvflare.private.admin_defs:MsgHeader.RETURN_CODE": "whether a site accepted a job",
    "nvflare.private.admin_defs:ReturnCode.OK": "whether a site accepted a job",
    "nvflare.private.defs:ERROR_MSG_PREFIX": "whether a site started a job",
    "nvflare.private.defs:ClientStatusKey.RUNNING_JOBS": "jobs that a site runs",
    "nvflare.private.defs:ClientStatusKey.JOB_ID": "jobs that a site runs",
    "nvflare.private.defs:TrainingTopic.CHECK_STATUS": "ask a site which jobs it runs",
    "nvflare.private.fed.utils.fed_utils:extract_participants": "app of a site",
    "nvflare.private.fed.server.admin:FedAdminServer.send_requests_and_get_reply_dict": "requests to sites",
    "nvflare.private.fed.server.admin:FedAdminServer.client_dead": "log out a silent site",
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
    "nvflare.private.fed.server.job_runner:JobRunner._make_deploy_message": "deploy a job to a site again",
    "nvflare.private.fed.server.job_runner:JobRunner._pending_client_outcomes": (
        "sites whose report a job waits for"
    ),
    "nvflare.private.fed.server.job_runner:JobRunner.resolve_client_outcome": "sites that are not waited for",
    "nvflare.private.fed.server.job_runner:JobRunner.is_client_outcome_pending": "sites that are waited for",
    "nvflare.private.fed.server.job_runner:JobRunner.running_jobs": "running jobs",
    "nvflare.private.fed.server.job_runner:JobRunner.abort_client_run": "end a job at one site",
}

SYNC_SITES = "flarefleet.survival.sync_sites"
"""Tells the server's process of a job to read its participants again."""
_SYNC_SECONDS = 8.0


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

    def absent(self, job: Job, present: Collection[str]) -> tuple[Participant, ...]:
        """Return the registered sites that a job names and that take no part; they have no token in it."""
        names = {name for one in job.get_deployment().values() for name in extract_participants(one)}
        registered = self._engine.client_manager.name_to_clients
        return tuple(Participant(name, "", {}) for name in sorted(names - set(present)) if name in registered)

    def registered(self, site: str) -> Participant | None:
        """Return the current registration of a site."""
        client = self._engine.client_manager.name_to_clients.get(site)
        return None if client is None else _participant(client)

    def last_contacts(self) -> list[tuple[Participant, float]]:
        """Return each registration with the time of its last heartbeat, in seconds since 1970."""
        return [(_participant(client), client.last_connect_time) for client in self._engine.get_clients()]

    def log_out(self, token: str) -> None:
        """Remove a registration. The server's job processes are not told that the site is lost."""
        self._engine.client_manager.remove_client(token)
        self._engine.server.remove_client_data(token)
        self._engine.server.admin_server.client_dead(token)

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

    def abort_at(self, job_id: str, site: str) -> None:
        """End the process of a job at a site."""
        with self._engine.new_context() as fl_ctx:
            self._runner.abort_client_run(job_id, [site], fl_ctx)

    def running_at(self, sites: Iterable[str], timeout: float = 3.0) -> dict[str, frozenset[str]]:
        """Return the ids of the jobs that each of these sites runs, without the sites that do not answer."""
        clients, _ = self._engine.validate_targets(list(sites))
        requests = {client.token: Message(topic=TrainingTopic.CHECK_STATUS, body="") for client in clients}
        replies = self._engine.server.admin_server.send_requests_and_get_reply_dict(requests, timeout)
        names = {client.token: client.name for client in clients}
        found = {}
        for token, reply in replies.items():
            with contextlib.suppress(AttributeError, ValueError, TypeError, KeyError):
                jobs = json.loads(reply.body)[ClientStatusKey.RUNNING_JOBS]
                found[names[token]] = frozenset(str(job[ClientStatusKey.JOB_ID]) for job in jobs)
        return found

    def start_at(self, job: Job, old_token: str, site: Participant) -> None:
        """Run a job at a site that takes part in it under an older registration, or runs it no longer.

        Args:
            job: the job.
            old_token: the token under which the site takes part.
            site: the current registration of the site.

        Raises:
            SiteNotReadyError: the site did not accept the job.
        """
        engine, runner = self._engine, self._runner
        with engine.new_context() as fl_ctx:
            app = _app_of(job, site.name)
            admin = engine.server.admin_server
            message = runner._make_deploy_message(job, job.get_application(app, fl_ctx), app, fl_ctx)
            reply = admin.send_requests_and_get_reply_dict({site.token: message}, timeout_secs=admin.timeout)
            _require_ok(reply.get(site.token), "the deployment of the job")
            spec = {**job.meta, JobMetaKey.RESOURCE_SPEC.value: job.resource_spec}
            needed = {site.name: get_resource_manager_spec(spec, site.name)}
            enough, token = engine.check_client_resources(job, needed, fl_ctx).get(site.name, (False, ""))
            if not enough:
                raise SiteNotReadyError(f"its resources are not free: {token or 'no reply'}")
            self._replace_participant(job, old_token, site)
            if ask_job(engine, job.job_id, SYNC_SITES, _SYNC_SECONDS) is None:
                raise SiteNotReadyError("the server's job process does not answer")
            dispatch = DispatchInfo(app_name=app, resource_requirements=needed[site.name], token=token)
            replies = engine.start_client_job(job, {site.name: dispatch}, fl_ctx)
            _require_ok(replies[0].reply if replies else None, "the start of the job")

    def _replace_participant(self, job: Job, old_token: str, site: Participant) -> None:
        process = self._engine.run_processes[job.job_id]
        with self._engine.lock:
            clients = {t: c for t, c in process[RunProcessKey.PARTICIPANTS].items() if t != old_token}
            process[RunProcessKey.PARTICIPANTS] = clients | _clients([site])
        # A site's job process that is started without JOB_CLIENTS raises and never exits.
        job.meta[JobMetaKey.JOB_CLIENTS] = [
            client.to_dict() for client in process[RunProcessKey.PARTICIPANTS].values()
        ]

    @property
    def _runner(self) -> Any:
        return self._engine.job_runner

    @property
    def _scheduler(self) -> Any:
        return self._engine.get_component(SystemComponents.JOB_SCHEDULER)


class SiteNotReadyError(Exception):
    """A site cannot run a job now; the message says why."""


def failed_process(engine: Any, job_id: str) -> Mapping[str, Any] | None:
    """Return NVFlare's record of the server's process of a job that did not exit cleanly, by RunProcessKey."""
    record: Mapping[str, Any] | None = getattr(engine, "exception_run_processes", {}).get(job_id)
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


def _app_of(job: Job, site: str) -> str:
    for app, deployments in job.get_deployment().items():
        names = extract_participants(deployments)
        if site in names or any(name.upper() == ALL_SITES for name in names):
            return str(app)
    raise SiteNotReadyError("the job has no app for it")


def _require_ok(reply: Any, what: str) -> None:
    if reply is None:
        raise SiteNotReadyError(f"it did not answer to {what}")
    code, text = reply.get_header(MsgHeader.RETURN_CODE, ReturnCode.OK), str(reply.body)
    if code != ReturnCode.OK or text.startswith(ERROR_MSG_PREFIX):
        raise SiteNotReadyError(f"{what} failed: {text[:200]}")

"""Jobs at a site, as the server's parent sees, starts and ends them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any

from nvflare.apis.job_def import ALL_SITES, Job, JobMetaKey
from nvflare.apis.job_scheduler_spec import DispatchInfo
from nvflare.private.admin_defs import Message, MsgHeader, ReturnCode
from nvflare.private.defs import ERROR_MSG_PREFIX, ClientStatusKey, TrainingTopic
from nvflare.private.fed.utils.fed_utils import extract_participants
from nvflare.utils.job_launcher_utils import get_resource_manager_spec

from fl_app.nvflare_internals.parent_messages import ask_job
from fl_app.nvflare_internals.server_jobs import Participant, ServerJobs

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
    "nvflare.private.fed.server.job_runner:JobRunner._make_deploy_message": "deploy a job to a site again",
    "nvflare.private.fed.server.job_runner:JobRunner.abort_client_run": "end a job at one site",
}

SYNC_SITES = "flarefleet.survival.sync_sites"
"""Tells the server's process of a job to read its participants again."""
_SYNC_SECONDS = 8.0
_STATUS_SECONDS = 3.0


class SiteNotReadyError(Exception):
    """A site cannot run a job now; the message says why."""


def runs_job(engine: Any, job_id: str, site: Participant) -> bool:
    """Ask a site whether it runs a job.

    Raises:
        SiteNotReadyError: it does not answer.
    """
    answers = running_jobs(engine, [site.token])
    if site.token not in answers:
        raise SiteNotReadyError("it does not answer")
    return job_id in answers[site.token]


def running_jobs(engine: Any, tokens: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the ids of the jobs that sites run, by token, without the sites that do not answer."""
    requests = {token: Message(topic=TrainingTopic.CHECK_STATUS, body="") for token in tokens}
    replies = engine.server.admin_server.send_requests_and_get_reply_dict(requests, _STATUS_SECONDS)
    found = {}
    for token, reply in replies.items():
        with contextlib.suppress(AttributeError, ValueError, TypeError, KeyError):
            jobs = json.loads(reply.body)[ClientStatusKey.RUNNING_JOBS]
            found[token] = frozenset(str(job[ClientStatusKey.JOB_ID]) for job in jobs)
    return found


def end_leftovers(engine: Any, job_id: str, without: set[str]) -> bool:
    """End the processes of a job at all sites that answer; return whether there were any.

    Args:
        engine: NVFlare's engine of the server's parent.
        job_id: a job that does not run on the server.
        without: tokens of the sites that run no process of it, which are not asked; updated.
    """
    clients = [client for client in engine.get_clients() if client.token not in without]
    running = running_jobs(engine, [client.token for client in clients])
    without.update(token for token, jobs in running.items() if job_id not in jobs)
    names = [client.name for client in clients if job_id in running.get(client.token, ())]
    if names:
        with engine.new_context() as fl_ctx:
            engine.job_runner.abort_client_run(job_id, names, fl_ctx)
    return bool(names)


def end_job(engine: Any, job_id: str, site: Participant) -> None:
    """End the process of a job at a site."""
    with engine.new_context() as fl_ctx:
        engine.job_runner.abort_client_run(job_id, [site.name], fl_ctx)


def start_job(engine: Any, job: Job, old_token: str, site: Participant) -> None:
    """Run a job at a site that takes part in it under an older registration, or runs it no longer.

    Args:
        engine: NVFlare's engine of the server's parent.
        job: the job.
        old_token: the token under which the site takes part; empty if it does not.
        site: the current registration of the site.

    Raises:
        SiteNotReadyError: the site did not accept the job.
    """
    app, spec = _app_of(job, site.name), {**job.meta, JobMetaKey.RESOURCE_SPEC.value: job.resource_spec}
    needed = {site.name: get_resource_manager_spec(spec, site.name)}
    with engine.new_context() as fl_ctx:
        enough, token = engine.check_client_resources(job, needed, fl_ctx).get(site.name, (False, ""))
        if not enough:
            raise SiteNotReadyError(f"its resources are not free: {token or 'no reply'}")
        message = engine.job_runner._make_deploy_message(job, job.get_application(app, fl_ctx), app, fl_ctx)
        timeout = engine.server.admin_server.timeout
        _require_ok(_send(engine, site, message, timeout), "the deployment of the job")
        ServerJobs(engine).replace_participant(job, old_token, site)
        if ask_job(engine, job.job_id, SYNC_SITES, _SYNC_SECONDS) is None:
            raise SiteNotReadyError("the server's job process does not answer")
        dispatch = DispatchInfo(app_name=app, resource_requirements=needed[site.name], token=token)
        replies = engine.start_client_job(job, {site.name: dispatch}, fl_ctx)
        _require_ok(replies[0].reply if replies else None, "the start of the job")


def _send(engine: Any, site: Participant, message: Message, timeout: float) -> Any:
    admin = engine.server.admin_server
    return admin.send_requests_and_get_reply_dict({site.token: message}, timeout_secs=timeout)[site.token]


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


def named_sites(job: Job) -> frozenset[str]:
    """Return the sites that a job names; without those of a job for all sites."""
    names = [
        name for deployments in job.get_deployment().values() for name in extract_participants(deployments)
    ]
    return frozenset(name for name in names if name.upper() != ALL_SITES)

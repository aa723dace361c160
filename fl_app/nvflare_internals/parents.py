"""State of NVFlare in a parent: the server, contact with sites, and running jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, RunProcessKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import JobMetaKey
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel, CellChannelTopic
from nvflare.private.fed.client.client_executor import _ABORT_REQUESTED_KEY
from nvflare.private.fed.client.fed_client import FederatedClient
from nvflare.private.fed.server.fed_server import FederatedServer
from nvflare.private.fed.server.server_status import ServerStatus

_DUPLICATE_SITE = "already registered"

USES = {
    "nvflare.private.fed.server.fed_server:FederatedServer": "recognize a server's parent; its state",
    "nvflare.private.fed.server.server_status:ServerStatus.STARTED": "whether the server has started",
    "nvflare.private.fed.server.server_engine:ServerEngine.get_clients": (
        "registered sites and the time of their last contact"
    ),
    "nvflare.private.fed.server.server_engine:ServerEngine.new_context": "read the server's job store",
    "nvflare.private.fed.client.fed_client:FederatedClient": "recognize a site's parent; its token",
    "nvflare.private.fed.client.client_engine:ClientEngine.get_all_job_ids": "jobs that run on a site",
    "nvflare.private.fed.client.client_executor:_ABORT_REQUESTED_KEY": "whether a site's job was aborted",
    "nvflare.private.defs:CellChannel.SERVER_MAIN": "channel of heartbeats",
    "nvflare.fuel.f3.cellnet.core_cell:CoreCell.waiters": "recognize the replies to own heartbeats",
    "nvflare.private.defs:CellChannelTopic.HEART_BEAT": "topic of heartbeats",
    "log:nvflare.private.fed.server.client_manager:already registered": (
        "recognize the server's refusal of a second process with the same kit"
    ),
}


class ServerParent:
    """NVFlare's server in a parent process."""

    def __init__(self, server: FederatedServer) -> None:
        self._server = server

    def is_shutting_down(self) -> bool:
        """Return whether the server is shutting down."""
        return bool(self._server.shutdown)

    def is_started(self) -> bool:
        """Return whether the server and its admin server have started."""
        return self._server.status == ServerStatus.STARTED and self._server.admin_server is not None

    @property
    def engine(self) -> Any:
        """NVFlare's engine of the server."""
        return self._server.engine

    def running_jobs(self) -> Collection[str]:
        """Return the ids of the jobs whose process or pod is running."""
        return tuple(self._server.engine.run_processes)

    def job_sites(self, job_id: str) -> Collection[str]:
        """Return the names of the sites of a job; all registered sites if its process is not running."""
        engine = self._server.engine
        participants = engine.run_processes.get(job_id, {}).get(RunProcessKey.PARTICIPANTS)
        clients = participants.values() if participants else engine.get_clients()
        return {client.name for client in clients}

    def job_status(self, job_id: str) -> str | None:
        """Return NVFlare's status of a job; None if the job store has no such job, "" if it is unknown."""
        engine = self._server.engine
        if engine.job_def_manager is None:
            return ""
        with engine.new_context() as context:
            job = engine.job_def_manager.get_job(job_id, context)
        return None if job is None else _status(job)

    def job_statuses(self) -> Iterable[str]:
        """Return the status of every job in the job store. Reads the whole store."""
        engine = self._server.engine
        if engine.job_def_manager is None:
            return ()
        with engine.new_context() as context:
            return [_status(job) for job in engine.job_def_manager.get_all_jobs(context)]


class SiteParent:
    """NVFlare's client in a site's parent process.

    Args:
        client: NVFlare's object; its cell exists.
        engine: NVFlare's engine of the client.
    """

    def __init__(self, client: FederatedClient, engine: Any) -> None:
        self._client = client
        self._engine = engine
        self._processes: dict[str, dict[str, Any]] = {}

    def has_token(self) -> bool:
        """Return whether the server has ever accepted the registration of this site."""
        return bool(self._client.token)

    def follow_heartbeats(self, accepted: Callable[[], None], refused: Callable[[str], None]) -> None:
        """Call `accepted`, or `refused` with the server's reason, for each reply to a heartbeat.

        If two processes use one kit, each may receive replies to the other's heartbeats; they are ignored.
        """
        waiters = self._client.cell.core_cell.waiters

        def on_reply(reply: Message) -> None:
            requests = reply.get_header(MessageHeaderKey.REQ_ID)
            if not waiters.keys() & ({requests} if isinstance(requests, str) else set(requests or ())):
                return
            code = reply.get_header(MessageHeaderKey.RETURN_CODE)
            if code == ReturnCode.OK:
                accepted()
            else:
                refused(str(reply.get_header(MessageHeaderKey.ERROR) or code))

        self._client.cell.core_cell.add_incoming_reply_filter(
            channel=CellChannel.SERVER_MAIN, topic=CellChannelTopic.HEART_BEAT, cb=on_reply
        )

    def running_jobs(self) -> Collection[str]:
        """Return the ids of the jobs whose process or pod is running."""
        return tuple(self._engine.get_all_job_ids())

    def remember_job_processes(self) -> None:
        """Keep NVFlare's records of its job processes: NVFlare drops a record before it reports the end."""
        self._processes.update(self._engine.client_executor.run_processes)

    def job_result(self, job_id: str) -> str:
        """Return how this site's part of a job ended: completed, failed or aborted.

        A job process that is aborted exits successfully. NVFlare also requests the abort of a process that
        has died, so a failed exit status outweighs the request.
        """
        process = self._processes.pop(job_id, {})
        handle = process.get(RunProcessKey.JOB_HANDLE)
        if handle is None or handle.poll() != JobReturnCode.SUCCESS:
            return "failed"
        return "aborted" if process.get(_ABORT_REQUESTED_KEY) else "completed"


def parent_of(fl_ctx: FLContext) -> ServerParent | SiteParent | None:
    """Return the parent that the component of this context runs in; None in a job process."""
    parent = fl_ctx.get_prop(FLContextKey.SITE_OBJ)
    if isinstance(parent, FederatedServer):
        return ServerParent(parent)
    if isinstance(parent, FederatedClient):
        return SiteParent(parent, fl_ctx.get_engine())
    return None


def is_duplicate_site(refusal: str) -> bool:
    """Return whether the server refused a heartbeat because another process uses the same kit."""
    return _DUPLICATE_SITE in refusal


def _status(job: Any) -> str:
    status = job.meta.get(JobMetaKey.STATUS.value)
    return str(getattr(status, "value", status))

"""Signs of life that NVFlare's server sees, and the question of a server's job process to its parent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel, CellChannelTopic, CellMessageHeaderKeys

from fl_app.nvflare_internals.parent_messages import CHANNEL, sender_of
from fl_app.nvflare_internals.server_jobs import ServerJobs

USES = {
    "nvflare.private.defs:CellChannel.SERVER_MAIN": "channel of heartbeats",
    "nvflare.private.defs:CellChannelTopic.HEART_BEAT": "topic of heartbeats",
    "nvflare.private.defs:CellMessageHeaderKeys.JOB_IDS": "jobs that a site's parent lists in its heartbeat",
    "nvflare.private.fed.server.server_engine:ServerEngine.get_cell": "receive heartbeats and questions",
}

TOPIC = "liveness"
GRACE_VARIABLE = "NVFLARE_DEAD_CLIENT_GRACE_PERIOD"
"""Variable of NVFlare: seconds until a job process deems a site disconnected whose job process is missing."""


def last_contacts(engine: Any) -> Mapping[str, float]:
    """Return the time of the last contact with each registered site, in seconds since 1970."""
    return {client.name: client.last_connect_time for client in engine.get_clients()}


def follow_heartbeats(engine: Any, receive: Callable[[str, Collection[str]], None]) -> None:
    """Call `receive` with the site and the ids of its running jobs for each heartbeat of a site's parent."""

    def on_heartbeat(request: Message) -> None:
        sender, jobs = sender_of(request, engine), request.get_header(CellMessageHeaderKeys.JOB_IDS)
        if sender is not None and sender.site and isinstance(jobs, list | tuple | set):
            receive(sender.site, {str(job) for job in jobs})

    engine.get_cell().core_cell.add_incoming_request_filter(
        channel=CellChannel.SERVER_MAIN, topic=CellChannelTopic.HEART_BEAT, cb=on_heartbeat
    )


def answer_job_processes(engine: Any, answer: Callable[[str, Collection[str]], Mapping[str, float]]) -> None:
    """Answer job processes of the server with `answer(job, sites of the job)`."""

    def on_request(request: Message) -> Message:
        sender = sender_of(request, engine)
        if sender is None or not sender.job:
            return make_reply(ReturnCode.UNAUTHENTICATED)
        sites = ServerJobs(engine).sites(sender.job)
        return make_reply(ReturnCode.OK, "", dict(answer(sender.job, sites)))

    engine.get_cell().register_request_cb(channel=CHANNEL, topic=TOPIC, cb=on_request)


def ask_parent(engine: Any, timeout: float) -> Mapping[str, float]:
    """Return the answer of the server's parent to its job process; nothing if it does not answer."""
    reply = engine.get_cell().send_request(
        channel=CHANNEL,
        topic=TOPIC,
        target=FQCN.ROOT_SERVER,
        request=Message(payload={}),
        timeout=timeout,
        optional=True,
    )
    is_answer = reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK
    return reply.payload if is_answer and isinstance(reply.payload, dict) else {}

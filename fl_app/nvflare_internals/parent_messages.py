"""Messages of survival: documents to the server's parent, and questions of it to the processes of jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.apis.fl_constant import CellMessageAuthHeaderKey
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import AUTH_CLIENT_NAME_FOR_SJ

USES = {
    "nvflare.private.defs:AUTH_CLIENT_NAME_FOR_SJ": "recognize a message of the server's job process",
    "nvflare.private.fed.server.server_engine:ServerEngine.client_manager": "registered sites, by token",
    "nvflare.private.fed.server.client_manager:ClientManager.clients": "registered sites, by token",
}

CHANNEL = "flarefleet.survival"
"""Channel of the messages of survival to the server's parent."""
Handler = Callable[["Sender", Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Sender:
    """The process that sent a message to the server's parent; NVFlare has verified its signature."""

    job: str = ""
    """Id of the job whose process on the server it is; empty for a site."""
    site: str = ""
    """Name of the site; empty for the server's process of a job."""


def send_to_server_parent(engine: Any, topic: str, document: Mapping[str, Any], timeout: float) -> bool:
    """Send a document to the server's parent from any other process; return whether it was accepted."""
    reply = engine.get_cell().send_request(
        channel=CHANNEL,
        topic=topic,
        target=FQCN.ROOT_SERVER,
        request=Message(payload=dict(document)),
        timeout=timeout,
        optional=True,
    )
    return bool(reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK)


def receive_in_server_parent(engine: Any, topic: str, handler: Handler) -> None:
    """Call `handler` with the sender and the document of each message; it returns whether it accepts it."""

    def on_request(request: Message) -> Message:
        sender, document = sender_of(request, engine), request.payload
        if sender is None or not isinstance(document, dict):
            return make_reply(ReturnCode.UNAUTHENTICATED)
        return make_reply(ReturnCode.OK if handler(sender, document) else ReturnCode.INVALID_REQUEST)

    engine.get_cell().register_request_cb(channel=CHANNEL, topic=topic, cb=on_request)


def sender_of(request: Message, engine: Any) -> Sender | None:
    """Return who sent a message; None unless it is a job process of the server or a registered site.

    NVFlare verifies the signature of name and token before a message arrives here, and signs a token only
    for a site that proved its identity, or for a job process that it launches.
    """
    name = str(request.get_header(CellMessageAuthHeaderKey.CLIENT_NAME))
    token = str(request.get_header(CellMessageAuthHeaderKey.TOKEN))
    if name == AUTH_CLIENT_NAME_FOR_SJ:
        return Sender(job=token)
    client = engine.client_manager.clients.get(token)
    return Sender(site=name) if client is not None and client.name == name else None


def ask_job(engine: Any, job_id: str, topic: str, timeout: float) -> Mapping[str, Any] | None:
    """Ask the server's process of a job from the server's parent; None without an answer."""
    reply = engine.get_cell().send_request(
        channel=CHANNEL,
        topic=topic,
        target=FQCN.join([FQCN.ROOT_SERVER, job_id]),
        request=Message(payload={}),
        timeout=timeout,
        optional=True,
    )
    is_answer = reply.get_header(MessageHeaderKey.RETURN_CODE) == ReturnCode.OK
    return reply.payload if is_answer and isinstance(reply.payload, dict) else None


def answer_in_job(engine: Any, topic: str, answer: Callable[[], Mapping[str, Any]]) -> None:
    """Let this process of a job on the server answer `ask_job`."""

    def on_request(request: Message) -> Message:
        if request.get_header(MessageHeaderKey.ORIGIN) != FQCN.ROOT_SERVER:
            return make_reply(ReturnCode.UNAUTHENTICATED)
        return make_reply(ReturnCode.OK, "", dict(answer()))

    engine.get_cell().register_request_cb(channel=CHANNEL, topic=topic, cb=on_request)

"""Verify who sends a log to the server's parent. NVFlare believes the name that the sender states."""

from __future__ import annotations

from typing import Any

from nvflare.apis.fl_constant import CellMessageAuthHeaderKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.logging.constants import Channels
from nvflare.fuel.f3.cellnet.defs import ReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.message import Message
from nvflare.private.defs import CellChannel
from nvflare.private.stream_runner import TOPIC_STREAM_REQUEST, HeaderKey

USES = {
    "nvflare.private.defs:CellChannel.AUX_COMMUNICATION": "channel of streams",
    "nvflare.private.stream_runner:TOPIC_STREAM_REQUEST": "topic of streams",
    "nvflare.private.stream_runner:HeaderKey.CHANNEL": "recognize the stream of a log",
    "nvflare.private.fed.server.server_engine:ServerEngine._handle_aux_message": "receive a verified stream",
}


def verify_log_senders(engine: Any) -> None:
    """Refuse the messages of a log whose signature is not that of the site that they name.

    Args:
        engine: NVFlare's engine of the server's parent.
    """

    def on_request(request: Message) -> Message:
        if not _is_verified(request):
            return make_reply(ReturnCode.UNAUTHENTICATED)
        reply: Message = engine._handle_aux_message(request)
        return reply

    engine.get_cell().register_request_cb(
        channel=CellChannel.AUX_COMMUNICATION, topic=TOPIC_STREAM_REQUEST, cb=on_request
    )


def _is_verified(request: Message) -> bool:
    message = request.payload
    if not isinstance(message, Shareable):
        return False
    if message.get_header(HeaderKey.CHANNEL) != Channels.LOG_STREAMING_CHANNEL:
        return True
    peer = FLContext()
    peer.set_public_props(message.get_peer_props() or {})
    signed = request.get_header(CellMessageAuthHeaderKey.CLIENT_NAME)
    return bool(signed) and peer.get_identity_name(default=None) == signed

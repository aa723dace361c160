"""What passes between SuperNodes and the SuperLink, looked into on its way: importing this needs Flower."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flwr.proto.fab_pb2 import GetFabResponse
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.flower.connectors.grpc_client_connector import GrpcClientConnector
from nvflare.app_opt.flower.connectors.grpc_server_connector import GrpcServerConnector
from nvflare.app_opt.flower.defs import Constant

from fl_app.flower.bundle import first_difference

_PUSH = PushMessagesRequest.DESCRIPTOR.name
_FAB = GetFabResponse.DESCRIPTOR.name
_SIGNS_OF_LIFE = {kind.DESCRIPTOR.name: kind for kind in (ActivateNodeRequest, SendNodeHeartbeatRequest)}

HEARTBEAT_SECONDS = 300.0
"""How often a SuperNode says that it gives a sign of life; it does every 30 s, where each gets through in 5.

After twice as long the SuperLink gives it up for good, and whatever it was asked. Which sites live NVFlare
knows by itself, and ends the job with a SuperNode that has ended; on a busy machine a minute of silence says
nothing.
"""


class ServerConnector(GrpcServerConnector):
    """NVFlare's, which tells of every ClientApp that raised: Flower's strategies go on without it.

    Args:
        failed: called with NVFlare's context of the site's request and the reason.
        connector: what else NVFlare's takes.
    """

    def __init__(self, failed: Callable[[FLContext, str], None], **connector: Any) -> None:
        super().__init__(**connector)
        self._failed = failed

    def send_request_to_flower(self, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """Pass a site's request on, and look whether it brings an error."""
        if request.get(Constant.PARAM_KEY_MSG_NAME) == _PUSH:
            for reason in errors_in(request.get(Constant.PARAM_KEY_CONTENT)):
                self._failed(fl_ctx, reason)
        return super().send_request_to_flower(request, fl_ctx)


class SiteConnector(GrpcClientConnector):
    """NVFlare's, which lets no app through but the one that this site has itself, and leaves it to NVFlare
    to say that this site is gone.

    Flower hands a site its code from the server; a site of the kit runs what its own image has.

    Args:
        app: the folder of the app, as this site has it.
        refused: called with the name of the first file that differs.
        connector: what else NVFlare's takes.
    """

    def __init__(self, app: Path, refused: Callable[[str], None], **connector: Any) -> None:
        super().__init__(**connector)
        self._app = app
        self._refused = refused

    def SendReceive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Pass a SuperNode's request on, and look at the app that may come back."""
        request.grpc_message_content = unhurried(request.grpc_message_name, request.grpc_message_content)
        reply = super().SendReceive(request, context)
        if reply.grpc_message_name == _FAB:
            bundle = GetFabResponse.FromString(reply.grpc_message_content).fab.content
            if differing := first_difference(bundle, self._app):
                self._refused(differing)
                reply.grpc_message_content = b""
        return reply


def unhurried(kind: str, content: bytes) -> bytes:
    """A SuperNode's request; where it is a sign of life, with HEARTBEAT_SECONDS to the next.

    Args:
        kind: the name of Flower's message.
        content: the message.
    """
    if kind not in _SIGNS_OF_LIFE:
        return content
    sign = _SIGNS_OF_LIFE[kind].FromString(content)
    sign.heartbeat_interval = HEARTBEAT_SECONDS
    return bytes(sign.SerializeToString())


def errors_in(content: bytes) -> tuple[str, ...]:
    """Why the ClientApps raised whose replies a SuperNode pushes.

    Args:
        content: a PushMessagesRequest.
    """
    messages = PushMessagesRequest.FromString(content).messages_list
    return tuple(message.error.reason for message in messages if message.HasField("error"))

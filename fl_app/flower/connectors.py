"""gRPC bridges between SuperNodes and the SuperLink that inspect messages; this module imports Flower."""

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

_HEARTBEATS = {kind.DESCRIPTOR.name: kind for kind in (ActivateNodeRequest, SendNodeHeartbeatRequest)}

HEARTBEAT_INTERVAL = 1800.0
"""Seconds between two heartbeats that a SuperNode announces; it sends one every 30 s.

It is the longest interval that Flower accepts. The SuperLink drops a node for good after twice the announced
interval. The server's owner of liveness decides whether a site is lost, not the SuperLink, and NVFlare ends
the job if a SuperNode exits.
"""


class ServerConnector(GrpcServerConnector):
    """NVFlare's bridge at the server; reports each ClientApp that raises, which Flower's strategies ignore.

    Args:
        on_failure: called with the context of the site's request and the reason.
        connector: arguments of NVFlare's connector.
    """

    def __init__(self, on_failure: Callable[[FLContext, str], None], **connector: Any) -> None:
        super().__init__(**connector)
        self._on_failure = on_failure

    def send_request_to_flower(self, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """Forward a request of a site, and report the errors in it."""
        if request.get(Constant.PARAM_KEY_MSG_NAME) == PushMessagesRequest.DESCRIPTOR.name:
            for reason in errors_in(request.get(Constant.PARAM_KEY_CONTENT)):
                self._on_failure(fl_ctx, reason)
        return super().send_request_to_flower(request, fl_ctx)


class SiteConnector(GrpcClientConnector):
    """NVFlare's bridge at a site; rejects an app that differs from the one that the site has.

    Flower sends the code of the app from the server to each site. A site runs only the code of its
    own image.

    Args:
        app: folder of the app at this site.
        on_difference: called with the name of the first file that differs.
        connector: arguments of NVFlare's connector.
    """

    def __init__(self, app: Path, on_difference: Callable[[str], None], **connector: Any) -> None:
        super().__init__(**connector)
        self._app = app
        self._on_difference = on_difference

    def SendReceive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Forward a request of the SuperNode, and check an app in the reply."""
        request.grpc_message_content = with_heartbeat_interval(
            request.grpc_message_name, request.grpc_message_content
        )
        reply = super().SendReceive(request, context)
        if reply.grpc_message_name == GetFabResponse.DESCRIPTOR.name:
            bundle = GetFabResponse.FromString(reply.grpc_message_content).fab.content
            if differing := first_difference(bundle, self._app):
                self._on_difference(differing)
                reply.grpc_message_content = b""
        return reply


def with_heartbeat_interval(kind: str, content: bytes) -> bytes:
    """Set HEARTBEAT_INTERVAL in a heartbeat of a SuperNode; return any other message unchanged.

    Args:
        kind: name of Flower's message.
        content: serialized message.
    """
    if kind not in _HEARTBEATS:
        return content
    heartbeat = _HEARTBEATS[kind].FromString(content)
    heartbeat.heartbeat_interval = HEARTBEAT_INTERVAL
    return bytes(heartbeat.SerializeToString())


def errors_in(content: bytes) -> tuple[str, ...]:
    """Return why ClientApps raised, from the replies that a SuperNode pushes.

    Args:
        content: serialized PushMessagesRequest.
    """
    messages = PushMessagesRequest.FromString(content).messages_list
    return tuple(message.error.reason for message in messages if message.HasField("error"))

"""What passes between SuperNodes and the SuperLink. Runs in .venv-flower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr", reason="runs in .venv-flower: make flower")

from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.grpcadapter_pb2 import MessageContainer
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from nvflare.app_opt.flower.connectors.grpc_client_connector import GrpcClientConnector

from fl_app.flower.connectors import HEARTBEAT_SECONDS, SiteConnector, errors_in, unhurried


@pytest.mark.parametrize(
    "sign",
    [
        ActivateNodeRequest(public_key=b"key", heartbeat_interval=30),
        SendNodeHeartbeatRequest(node=Node(node_id=5), heartbeat_interval=30),
    ],
    ids=lambda sign: type(sign).__name__,
)
def test_a_sign_of_life_reaches_the_superlink_with_a_longer_time_to_the_next(
    sign: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[MessageContainer] = []
    monkeypatch.setattr(
        GrpcClientConnector, "SendReceive", lambda _, request, context: passed.append(request) or request
    )
    kind = type(sign).__name__

    site = SiteConnector(Path("no-app"), refused=lambda _: None)
    site.SendReceive(
        MessageContainer(grpc_message_name=kind, grpc_message_content=sign.SerializeToString()), None
    )

    arrived = type(sign).FromString(passed[0].grpc_message_content)
    assert arrived.heartbeat_interval == HEARTBEAT_SECONDS
    arrived.heartbeat_interval = sign.heartbeat_interval
    assert arrived == sign


def test_everything_else_passes_as_it_is() -> None:
    content = PullMessagesRequest(node=Node(node_id=5)).SerializeToString()
    assert unhurried("PullMessagesRequest", content) is content


def test_why_client_apps_raised_is_found_in_what_a_supernode_pushes() -> None:
    pushed = PushMessagesRequest()
    pushed.messages_list.add().metadata.run_id = 1
    pushed.messages_list.add().error.reason = "ValueError: negative age"
    assert errors_in(pushed.SerializeToString()) == ("ValueError: negative age",)

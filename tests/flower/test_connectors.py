"""Messages between SuperNodes and the SuperLink. Runs in .venv-flower."""

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

from fl_app.flower.connectors import HEARTBEAT_INTERVAL, SiteConnector, errors_in, with_heartbeat_interval


@pytest.mark.parametrize(
    "heartbeat",
    [
        ActivateNodeRequest(public_key=b"key", heartbeat_interval=30),
        SendNodeHeartbeatRequest(node=Node(node_id=5), heartbeat_interval=30),
    ],
    ids=lambda heartbeat: type(heartbeat).__name__,
)
def test_a_heartbeat_reaches_the_superlink_with_a_longer_interval(
    heartbeat: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[MessageContainer] = []
    monkeypatch.setattr(
        GrpcClientConnector, "SendReceive", lambda _, request, context: passed.append(request) or request
    )
    kind = type(heartbeat).__name__

    site = SiteConnector(Path("no-app"), on_difference=lambda _: None)
    site.SendReceive(
        MessageContainer(grpc_message_name=kind, grpc_message_content=heartbeat.SerializeToString()), None
    )

    arrived = type(heartbeat).FromString(passed[0].grpc_message_content)
    assert arrived.heartbeat_interval == HEARTBEAT_INTERVAL
    arrived.heartbeat_interval = heartbeat.heartbeat_interval
    assert arrived == heartbeat


def test_other_messages_are_unchanged() -> None:
    content = PullMessagesRequest(node=Node(node_id=5)).SerializeToString()
    assert with_heartbeat_interval("PullMessagesRequest", content) is content


def test_errors_of_client_apps_are_found_in_pushed_replies() -> None:
    pushed = PushMessagesRequest()
    pushed.messages_list.add().metadata.run_id = 1
    pushed.messages_list.add().error.reason = "ValueError: negative age"
    assert errors_in(pushed.SerializeToString()) == ("ValueError: negative age",)

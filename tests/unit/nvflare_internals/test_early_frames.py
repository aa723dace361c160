"""A message that is handled before the handshake of its connection."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from nvflare.fuel.f3.endpoint import Endpoint
from nvflare.fuel.f3.sfm.conn_manager import ConnManager
from nvflare.fuel.f3.sfm.constants import Types
from nvflare.fuel.f3.sfm.prefix import PREFIX_LEN, Prefix

from fl_app.nvflare_internals.early_frames import keep_early_messages

APP = 1


def frame(kind: int) -> bytes:
    content = bytearray(PREFIX_LEN)
    Prefix(length=PREFIX_LEN, type=kind, app_id=APP).to_buffer(content, 0)
    return bytes(content)


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> ConnManager:
    monkeypatch.setattr(ConnManager, "process_frame_task", ConnManager.process_frame_task)
    keep_early_messages()
    return ConnManager(Endpoint("site-1"))


def test_a_message_waits_for_the_handshake_of_its_connection(manager: ConnManager) -> None:
    received: list[str] = []
    manager.receivers[APP] = SimpleNamespace(process_message=lambda peer, *_: received.append(peer))
    connection = SimpleNamespace(sfm_endpoint=None, conn=None, get_name=lambda: "CN1")
    handling = threading.Thread(target=manager.process_frame_task, args=(connection, frame(Types.DATA)))
    handling.start()
    handling.join(0.1)
    assert handling.is_alive()

    connection.sfm_endpoint = SimpleNamespace(endpoint="site-1.j1")
    handling.join(5)

    assert received == ["site-1.j1"]


def test_other_frames_do_not_wait(manager: ConnManager) -> None:
    answered: list[int] = []
    connection = SimpleNamespace(sfm_endpoint=None, conn=None, send_heartbeat=answered.append)

    manager.process_frame_task(connection, frame(Types.PING))

    assert answered == [Types.PONG]

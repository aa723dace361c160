"""Results that arrive before the server's process of a job has started."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.fl_constant import ServerCommandNames
from nvflare.fuel.f3.cellnet.cell import Adapter
from nvflare.fuel.f3.cellnet.defs import CellChannel, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey
from nvflare.private.fed.server.server_command_agent import ServerCommandAgent

from fl_app.nvflare_internals.early_results import refuse_results_until_start


class JobCell:
    """The cell of the server's process of a job, whose runner has this status; None: no runner yet."""

    decode_pass_through_channels: frozenset[str] = frozenset()
    decode_pass_through_topics: frozenset[str] = frozenset()

    def __init__(self, status: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Adapter, "call", Adapter.call)  # undone after the test
        monkeypatch.setattr("os._exit", sys.exit)
        refuse_results_until_start()
        runner = None if status is None else SimpleNamespace(status=status)
        engine = SimpleNamespace(server=SimpleNamespace(server_runner=runner))
        agent = ServerCommandAgent(engine, self)
        self.received: list[Any] = []
        monkeypatch.setattr(agent, "_execute_command", self._execute)
        self.adapter = Adapter(agent.execute_command, SimpleNamespace(fqcn="server.job"), self)
        self.replies: list[str] = []
        monkeypatch.setattr(self.adapter, "_send_response", self._reply)

    def get_fobs_context(self, props: Any) -> Any:
        return props

    def receive(self, topic: str) -> None:
        """Receive a message that cannot be decoded yet."""
        headers = {
            StreamHeaderKey.CHANNEL: CellChannel.SERVER_COMMAND,
            StreamHeaderKey.TOPIC: topic,
            StreamHeaderKey.PAYLOAD_ENCODING: "fobs",
        }
        self.adapter.call(SimpleNamespace(headers=headers, result=lambda: b"tensors"))

    def _execute(self, request: Any) -> Any:
        self.received.append(request)
        return make_reply(ReturnCode.OK)

    def _reply(self, response: Any, *stream: Any) -> None:
        self.replies.append(response.get_header(MessageHeaderKey.RETURN_CODE))


@pytest.mark.parametrize("status", [None, "init"])
def test_a_site_is_asked_to_send_its_result_again(
    status: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = JobCell(status, monkeypatch)

    cell.receive(ServerCommandNames.SUBMIT_UPDATE)

    assert (cell.replies, cell.received) == ([ReturnCode.SERVICE_UNAVAILABLE], [])


def test_a_result_that_cannot_be_decoded_later_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = JobCell("started", monkeypatch)

    with pytest.raises(SystemExit):
        cell.receive(ServerCommandNames.SUBMIT_UPDATE)


def test_other_messages_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = JobCell(None, monkeypatch)
    monkeypatch.setattr("nvflare.fuel.f3.cellnet.cell.decode_payload", lambda *_, **__: None)

    cell.receive(ServerCommandNames.GET_TASK)

    assert cell.replies == [ReturnCode.OK]

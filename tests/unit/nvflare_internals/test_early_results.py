"""Results that the server's process of a job cannot receive: too early, or cut off."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_constant import ServerCommandNames
from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.app_common.decomposers.numpy_decomposers import NumpyArrayDecomposer
from nvflare.fuel.f3.cellnet import cell as cellnet
from nvflare.fuel.f3.cellnet.cell import Adapter
from nvflare.fuel.f3.cellnet.defs import CellChannel, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply, new_cell_message
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.download_service import ProduceRC
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey
from nvflare.fuel.utils import fobs
from nvflare.private.fed.server.server_command_agent import ServerCommandAgent

from fl_app.nvflare_internals.early_results import MAX_REFUSALS, refuse_undeliverable_results
from fl_app.nvflare_internals.model_download import ModelTooLargeError


class JobCell:
    """The cell of the server's process of a job, whose runner has this status; None: no runner yet."""

    decode_pass_through_channels: frozenset[str] = frozenset()
    decode_pass_through_topics: frozenset[str] = frozenset()

    def __init__(self, status: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Adapter, "call", Adapter.call)  # undone after the test
        monkeypatch.setattr(cellnet, "decode_payload", cellnet.decode_payload)
        monkeypatch.setattr("os._exit", sys.exit)
        self.given_up: list[tuple[str, str]] = []
        refuse_undeliverable_results(lambda _, site, reason: self.given_up.append((site, str(reason))))
        runner = None if status is None else SimpleNamespace(status=status)
        engine = SimpleNamespace(server=SimpleNamespace(server_runner=runner))
        agent = ServerCommandAgent(engine, self)
        self.received: list[Any] = []
        monkeypatch.setattr(agent, "_execute_command", self._execute)
        self.adapter = Adapter(agent.execute_command, SimpleNamespace(fqcn="server.job"), self)
        self.replies: list[str] = []
        self.chunk = make_reply(ReturnCode.COMM_ERROR)
        monkeypatch.setattr(self.adapter, "_send_response", self._reply)

    def get_fobs_context(self, props: Any) -> Any:
        return {**props, fobs.FOBSContextKey.CELL: self}

    def get_fqcn(self) -> str:
        """Return the name of the cell that a site downloads from."""
        return "site-1.job"

    def register_request_cb(self, **callback: Any) -> None:
        """Accept NVFlare's callbacks for downloads."""

    def send_request(self, **request: Any) -> Message:
        """Answer the request for a chunk as a restarted process does, or one that is cut off."""
        return self.chunk

    def receive(self, topic: str, payload: bytes = b"tensors") -> None:
        """Receive a message; without a payload, one that cannot be decoded."""
        headers = {
            StreamHeaderKey.CHANNEL: CellChannel.SERVER_COMMAND,
            StreamHeaderKey.TOPIC: topic,
            StreamHeaderKey.PAYLOAD_ENCODING: "fobs",
            MessageHeaderKey.ORIGIN: "site-1.job",
        }
        self.adapter.call(SimpleNamespace(headers=headers, result=lambda: payload))

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


def result_with_array(cell: JobCell) -> bytes:
    """Return a result whose array cannot be downloaded."""
    flare_decomposers.register()
    fobs.register(NumpyArrayDecomposer)
    result = DXO(DataKind.WEIGHTS, {"w": np.zeros(10**6)}).to_shareable()
    payload: bytes = fobs.dumps(result, fobs_ctx=cell.get_fobs_context({}))
    assert len(payload) < 10_000  # the array is downloaded
    return payload


def test_a_job_ends_whose_results_are_always_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = JobCell("started", monkeypatch)
    cell.chunk = new_cell_message({MessageHeaderKey.RETURN_CODE: ReturnCode.OK}, {"status": ProduceRC.ERROR})
    cut, whole = result_with_array(cell), fobs.dumps(DXO(DataKind.WEIGHTS, {"w": [1]}).to_shareable())

    for _ in range(MAX_REFUSALS - 1):
        cell.receive(ServerCommandNames.SUBMIT_UPDATE, cut)
    cell.receive(ServerCommandNames.SUBMIT_UPDATE, whole)
    for _ in range(MAX_REFUSALS - 1):
        cell.receive(ServerCommandNames.SUBMIT_UPDATE, cut)
    assert cell.given_up == [], "a result arrived in between"
    cell.receive(ServerCommandNames.SUBMIT_UPDATE, cut)

    ((site, reason),) = cell.given_up
    assert site == "site-1"
    assert "failed to download from" in reason


def test_a_job_ends_at_once_if_a_result_can_never_be_received(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = JobCell("started", monkeypatch)

    def refuse(*_: Any, **__: Any) -> None:
        raise ModelTooLargeError("failed to download from site-1.job: a model of 3.00 GB does not fit")

    monkeypatch.setattr(NumpyArrayDecomposer, "download", refuse)
    cell.receive(ServerCommandNames.SUBMIT_UPDATE, result_with_array(cell))

    ((site, reason),) = cell.given_up
    assert (site, reason) == ("site-1", "failed to download from site-1.job: a model of 3.00 GB does not fit")


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_site_whose_result_is_cut_off_sends_it_again_and_the_process_goes_on(
    is_restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted process has the same name, and does not know the arrays of the killed one."""
    cell = JobCell("started", monkeypatch)
    if is_restarted:
        cell.chunk = new_cell_message(
            {MessageHeaderKey.RETURN_CODE: ReturnCode.OK}, {"status": ProduceRC.ERROR}
        )
    payload = result_with_array(cell)

    cell.receive(ServerCommandNames.SUBMIT_UPDATE, payload)

    assert (cell.replies, cell.received) == ([ReturnCode.SERVICE_UNAVAILABLE], [])


def test_other_messages_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = JobCell(None, monkeypatch)
    monkeypatch.setattr("nvflare.fuel.f3.cellnet.cell.decode_payload", lambda *_, **__: None)

    cell.receive(ServerCommandNames.GET_TASK)

    assert cell.replies == [ReturnCode.OK]

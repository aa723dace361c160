"""The wait of a site for the reply to its result, with NVFlare's own cells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.fl_constant import ReservedTopic, ReturnCode, ServerCommandNames
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.defs import CellChannel, MessageHeaderKey
from nvflare.fuel.f3.cellnet.defs import ReturnCode as CellReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply as make_cell_reply
from nvflare.fuel.f3.cellnet.utils import new_cell_message
from nvflare.fuel.f3.message import Message
from nvflare.fuel.f3.streaming.download_service import DownloadService

from deploy.ports import free_ports
from fl_app.nvflare_internals import result_upload
from fl_app.nvflare_internals.model_download import ModelTooLargeError
from fl_app.nvflare_internals.result_upload import wait_for_uploads

TIMEOUT = 1.0


class Link:
    """A server and a site. The server reads a result in steps of half a second, and then replies."""

    def __init__(self) -> None:
        url = f"tcp://127.0.0.1:{free_ports(1)[0]}"
        self.server = Cell("server", url, secure=False, credentials={})
        self.site = Cell("site-1", url, secure=False, credentials={})
        self.server.register_request_cb(
            channel=CellChannel.SERVER_COMMAND, topic=ServerCommandNames.SUBMIT_UPDATE, cb=self._receive
        )
        self.server.start()
        self.site.start()
        self.received = 0
        self.active_steps = 0
        self.engine = SimpleNamespace(
            client=SimpleNamespace(communicator=SimpleNamespace(cell=self.site)), aux_runner=self
        )
        self.answer = ReturnCode.OK

    def _receive(self, request: Message) -> Message:
        self.received += 1
        transaction = DownloadService.new_transaction(self.site, timeout=60, num_receivers=1)
        for step in range(6):
            if step < self.active_steps:
                DownloadService._tx_table[transaction].mark_active()
            time.sleep(TIMEOUT / 2)
        DownloadService.delete_transaction(transaction)
        return make_cell_reply(CellReturnCode.OK)

    def send_aux_request(self, targets: list[str], topic: str, *arguments: Any, **options: Any) -> Any:
        """Answer as NVFlare's runner of messages."""
        return {target: make_reply(self.answer) for target in targets}

    def submit(self) -> str:
        """Send a result as NVFlare does; return the code of the reply."""
        reply = self.engine.client.communicator.cell.send_request(
            target="server",
            channel=CellChannel.SERVER_COMMAND,
            topic=ServerCommandNames.SUBMIT_UPDATE,
            request=new_cell_message({}, Shareable()),
            timeout=TIMEOUT,
            optional=False,
            abort_signal=None,
        )
        return str(reply.get_header(MessageHeaderKey.RETURN_CODE))

    def check(self, topic: str) -> str:
        """Ask the server about a task; return the code of the reply."""
        replies = self.engine.aux_runner.send_aux_request(["server"], topic, Shareable(), 5.0, None)
        return str(replies["server"].get_return_code())


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    made = Link()
    wait_for_uploads(made.engine)
    try:
        yield made
    finally:
        made.site.stop()
        made.server.stop()


def test_a_site_waits_as_long_as_the_server_downloads_its_result(link: Link) -> None:
    link.active_steps = 6
    started, before = time.monotonic(), link.received

    assert link.submit() == CellReturnCode.OK

    assert time.monotonic() - started > 2 * TIMEOUT
    assert link.received == before + 1


@pytest.mark.parametrize(
    ("acknowledged", "code"), [(256, CellReturnCode.OK), (0, CellReturnCode.TIMEOUT)], ids=["some", "none"]
)
def test_a_site_waits_as_long_as_frames_of_one_large_array_arrive(
    link: Link, monkeypatch: pytest.MonkeyPatch, acknowledged: int, code: str
) -> None:
    class Stream:
        offset_ack = acknowledged
        last_ack_progress_ts = property(lambda self: time.monotonic())

    monkeypatch.setattr(result_upload, "reliable_retry_scheduler", SimpleNamespace(tasks={"1": Stream()}))
    link.active_steps = 0

    assert link.submit() == code


def test_a_site_waits_no_longer_if_the_server_stops_downloading(link: Link) -> None:
    link.active_steps = 1
    started = time.monotonic()

    assert link.submit() == CellReturnCode.TIMEOUT

    assert time.monotonic() - started < 2.5 * TIMEOUT


def test_a_site_asks_again_if_the_server_does_not_say_whether_it_wants_the_result(link: Link) -> None:
    link.answer = ReturnCode.TIMEOUT
    assert link.check(ReservedTopic.TASK_CHECK) == ReturnCode.COMMUNICATION_ERROR
    assert link.check(ReservedTopic.SYNC_RUNNER) == ReturnCode.TIMEOUT

    link.answer = ReturnCode.TASK_UNKNOWN
    assert link.check(ReservedTopic.TASK_CHECK) == ReturnCode.TASK_UNKNOWN


def test_a_site_ends_if_the_model_of_its_task_does_not_fit_three_times_in_a_row() -> None:
    replies: list[Any] = [ModelTooLargeError("3.00 GB"), "task", *[ModelTooLargeError("4.00 GB")] * 3]

    class Server:
        def send_request(self, **_: Any) -> Any:
            if isinstance(reply := replies.pop(0), ModelTooLargeError):
                raise reply
            return reply

    communicator = SimpleNamespace(cell=Server())
    wait_for_uploads(SimpleNamespace(client=SimpleNamespace(communicator=communicator), aux_runner=None))

    def get_task() -> Any:
        return communicator.cell.send_request(topic=ServerCommandNames.GET_TASK, timeout=TIMEOUT)

    with pytest.raises(ModelTooLargeError):  # NVFlare asks again
        get_task()
    assert get_task() == "task"
    for _ in range(2):
        with pytest.raises(ModelTooLargeError):
            get_task()
    with pytest.raises(SystemExit, match=r"4\.00 GB"):
        get_task()

"""Logs that sites send: which the server refuses, and where it stores the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import CellMessageAuthHeaderKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import new_job_id
from nvflare.apis.shareable import Shareable
from nvflare.apis.streaming import StreamableEngine
from nvflare.app_common.logging.constants import LIVE_LOG_TOPIC, Channels
from nvflare.app_common.streamers.streamer_base import KEY_DATA, KEY_DATA_SIZE, KEY_EOF, KEY_FILE_NAME
from nvflare.fuel.f3.cellnet.defs import ReturnCode as CellReturnCode
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.message import Message
from nvflare.private.stream_runner import TOPIC_STREAM_REQUEST, HeaderKey, ObjectStreamer

from fl_app.contract import SITE_LOGS_FOLDER
from fl_app.survival.log_receiver import LogReceiver
from tests.unit.survival.server import Server

SECRET = "startup/server.key"


class Receiving(Server, StreamableEngine):  # type: ignore[misc]
    """The server's parent with NVFlare's receiver of streams."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._streamer = ObjectStreamer(SimpleNamespace(register_aux_message_handler=lambda **handler: None))

        self._cell: dict[tuple[str, str], Any] = {}

    def get_cell(self) -> Any:
        return SimpleNamespace(
            register_request_cb=lambda channel, topic, cb: self._cell.update({(channel, topic): cb})
        )

    def _handle_aux_message(self, request: Message) -> Message:
        with self.new_context() as fl_ctx:
            peer = FLContext()
            peer.set_public_props(request.payload.get_peer_props())
            fl_ctx.set_peer_context(peer)
            reply = self._streamer._handle_request("", request.payload, fl_ctx)
        return make_reply(CellReturnCode.OK, "", reply)

    def register_stream_processing(self, **arguments: Any) -> None:
        self._streamer.register_stream_processing(**arguments)

    def get_client_from_name(self, name: str) -> Any:
        return self.client_manager.get_client_from_name(name)

    def install(self, receiver: LogReceiver) -> None:
        with self.new_context() as fl_ctx:
            receiver.handle_event(EventType.SYSTEM_START, fl_ctx)

    def send(
        self,
        job_id: Any,
        *chunks: bytes,
        site: Any = "site-1",
        file: Any = "log.txt",
        tx: str = "1",
        context: Mapping[str, Any] | None = None,
        end: bool = True,
        signed: Any = "",
    ) -> None:
        """Send a log as a site does."""
        messages = [_chunk(data) for data in chunks] + ([_chunk(None)] if end else [])
        for number, message in enumerate(messages):
            message.set_header(HeaderKey.TX_ID, tx)
            message.set_header(HeaderKey.CHANNEL, Channels.LOG_STREAMING_CHANNEL)
            message.set_header(HeaderKey.TOPIC, LIVE_LOG_TOPIC)
            message.set_header(HeaderKey.SEQ, number)
            message.set_header(HeaderKey.CTX, {KEY_FILE_NAME: file, **(context or {})})
            message.set_peer_props({ReservedKey.IDENTITY_NAME: site, ReservedKey.RUN_NUM: job_id})
            headers = {CellMessageAuthHeaderKey.CLIENT_NAME: signed or site}
            self._cell["aux_communication", TOPIC_STREAM_REQUEST](Message(headers, message))

    def stored(self, job_id: str, data_type: str, site: str = "site-1") -> bytes | None:
        with self.new_context() as fl_ctx:
            data: bytes | None = self.manager.get_client_data(job_id, site, data_type, fl_ctx)
        return data


Receiving.__abstractmethods__ = frozenset()


def _chunk(data: bytes | None) -> Shareable:
    message = Shareable()
    message.update({KEY_DATA: data, KEY_DATA_SIZE: len(data or b""), KEY_EOF: data is None})
    return message


@pytest.fixture
def server(tmp_path: Path) -> Receiving:
    server = Receiving(tmp_path)
    server.register("site-1", "token")
    server.install(LogReceiver(str(tmp_path / SITE_LOGS_FOLDER), idle_timeout=0, max_bytes=10))
    for name in ("local/authorization.json", SECRET):
        file = tmp_path / name
        file.parent.mkdir()
        file.write_text("{}")
    return server


def files(server: Server) -> dict[str, bytes]:
    """Return every file of the workspace."""
    found = (file for file in server.folder.rglob("*") if file.is_file())
    return {str(file.relative_to(server.folder)): file.read_bytes() for file in found}


@pytest.mark.parametrize("name", ["log.txt", "error_log.txt"])
def test_a_log_is_readable_while_a_site_sends_it_and_is_stored_with_its_job(
    server: Receiving, name: str
) -> None:
    job_id = server.submit()
    kind = "ERRORLOG" if name == "error_log.txt" else f"LOG_{name}"

    server.send(job_id, b"one ", b"two", file=name, tx="1", end=False)
    assert files(server)[f"{SITE_LOGS_FOLDER}/{job_id}/site-1/{name}"] == b"one two"

    server.send(job_id, b"one ", b"two", file=name, tx="2")
    assert server.stored(job_id, kind) == b"one two"


@pytest.mark.parametrize(
    ("job_id", "site", "file"),
    [
        ("..", "local", "authorization.json"),
        ("..", "local", "log.txt"),
        ("", "site-1", "log.txt"),
        (None, "site-1", "log.txt"),
        ("JOB", "..", "log.txt"),
        ("JOB", ".", "log.txt"),
        ("JOB", "", "log.txt"),
        ("JOB", "../../local", "log.txt"),
        ("JOB", None, "log.txt"),
        ("JOB", "site-1", "../../../local/authorization.json"),
        ("JOB", "site-1", ".."),
        ("JOB", "site-1", "."),
        ("JOB", "site-1", "authorization.json"),
        ("JOB", "site-1", ["log.txt"]),
        ("UNKNOWN", "site-1", "log.txt"),
    ],
)
def test_a_stream_with_other_names_writes_no_file(
    server: Receiving, job_id: str, site: str, file: Any
) -> None:
    job_id = {"JOB": server.submit(), "UNKNOWN": new_job_id()}.get(job_id, job_id)
    before = files(server)

    server.send(job_id, b"{1}", site=site, file=file)

    assert files(server) == before
    assert not (server.folder / SITE_LOGS_FOLDER).exists()


def test_the_context_that_a_site_sends_does_not_choose_the_file_that_is_stored(server: Receiving) -> None:
    job_id = server.submit()
    context = {"JobLogReceiver.recv_path": str(server.folder / SECRET)}

    server.send(job_id, context=context)

    assert (server.folder / SECRET).exists()
    assert server.stored(job_id, "LOG_log.txt") is None


def test_a_site_cannot_send_a_log_in_the_name_of_another_site(server: Receiving) -> None:
    job_id = server.submit()

    server.send(job_id, b"text", signed="site-2")

    assert server.stored(job_id, "LOG_log.txt") is None
    assert not (server.folder / SITE_LOGS_FOLDER).exists()


def test_only_sites_of_a_running_job_send_its_logs(server: Receiving) -> None:
    job_id = server.submit()
    server.run(job_id, server.register("site-1", "token"))
    server.register("site-2", "other")

    for site in ("site-1", "site-2"):
        server.send(job_id, b"text", site=site, tx=site)

    assert server.stored(job_id, "LOG_log.txt", "site-1") == b"text"
    assert server.stored(job_id, "LOG_log.txt", "site-2") is None


def test_a_server_that_accepts_only_error_logs_stores_no_other(server: Receiving) -> None:
    job_id = server.submit()
    server.install(
        LogReceiver(str(server.folder / SITE_LOGS_FOLDER), idle_timeout=0, files=["error_log.txt"])
    )

    server.send(job_id, b"text", tx="1")
    server.send(job_id, b"failed", file="error_log.txt", tx="2")

    assert server.stored(job_id, "LOG_log.txt") is None
    assert server.stored(job_id, "ERRORLOG") == b"failed"


def test_the_rest_of_a_long_log_is_dropped(server: Receiving) -> None:
    job_id = server.submit()

    server.send(job_id, b"12345678", b"90ab", b"cdef")

    assert server.stored(job_id, "LOG_log.txt") == b"1234567890"


def test_a_site_that_does_not_allow_it_sends_no_log(server: Receiving) -> None:
    job_id = server.submit()
    server.register("site-1", "token").set_site_config({"allow_log_streaming": False})

    server.send(job_id, b"text")

    assert server.stored(job_id, "LOG_log.txt") is None
    assert not (server.folder / SITE_LOGS_FOLDER).exists()

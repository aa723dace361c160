"""Receive the logs of jobs that sites send, in place of NVFlare's JobLogReceiver.

NVFlare builds the path of a log from names that the sender chooses, and keeps the path in a context that the
sender fills. Here every name is checked, and the state of a stream stays in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ReturnCode, SystemComponents, WorkspaceConstants
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import is_valid_job_id
from nvflare.apis.storage import DataTypes
from nvflare.apis.streaming import StreamContext
from nvflare.app_common.logging.constants import ALLOW_LOG_STREAMING_VAR, LIVE_LOG_TOPIC, Channels
from nvflare.app_common.streamers.log_streamer import LogStreamer
from nvflare.widgets.widget import Widget

from fl_app.nvflare_internals.log_streams import verify_log_senders
from fl_app.nvflare_internals.server_jobs import ServerJobs

ACCEPTED_FILES = (WorkspaceConstants.LOG_FILE_NAME, WorkspaceConstants.ERROR_LOG_FILE_NAME)
MAX_LOG_BYTES = 256 * 2**20
"""The rest of a longer log is dropped; it remains at the site."""


class RefusedStreamError(Exception):
    """The server does not accept a log; the message says why."""


@dataclass
class _Stream:
    """A log that a site is sending."""

    job_id: str
    site: str
    path: Path
    file: BinaryIO | None
    """None if the log is refused."""
    size: int = 0


class LogReceiver(Widget):
    """Write each log to DEST_DIR/JOB/SITE/FILE while a site sends it; then store it with the job.

    Events: SYSTEM_START registers it in the server's parent, START_RUN in the server's process of a job.

    Args:
        dest_dir: folder of the logs.
        idle_timeout: seconds without a message after which a stream ends.
        max_bytes: size at which a log is cut off.
        files: names of the files that the server accepts.
    """

    def __init__(
        self,
        dest_dir: str,
        idle_timeout: float = 30.0,
        max_bytes: int = MAX_LOG_BYTES,
        files: Sequence[str] = ACCEPTED_FILES,
    ) -> None:
        super().__init__()
        self._folder = Path(dest_dir)
        self._idle_timeout = idle_timeout
        self._max_bytes = max_bytes
        self._files = tuple(files)
        self._streams: dict[int, _Stream] = {}
        """By identity of the stream's context, which NVFlare keeps until the stream has ended."""
        self._lock = threading.Lock()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type not in (EventType.SYSTEM_START, EventType.START_RUN):
            return
        if event_type == EventType.SYSTEM_START:
            verify_log_senders(fl_ctx.get_engine())
        LogStreamer.register_stream_processing(
            fl_ctx,
            channel=Channels.LOG_STREAMING_CHANNEL,
            topic=LIVE_LOG_TOPIC,
            chunk_received_cb=self.receive,
            stream_done_cb=self.end,
            idle_timeout=self._idle_timeout,
        )

    def receive(self, data: bytes, stream_ctx: StreamContext, fl_ctx: FLContext) -> None:
        """Append a chunk to its log; drop it if the log is refused or too long."""
        with self._lock:
            stream = self._streams.get(id(stream_ctx))
            if stream is None:
                stream = self._streams[id(stream_ctx)] = self._open(stream_ctx, fl_ctx)
        if stream.file is None:
            return
        if stream.size < self._max_bytes <= stream.size + len(data):
            self.log_warning(fl_ctx, f"{stream.path} has {self._max_bytes} bytes; the rest is dropped")
        stream.size += stream.file.write(data[: max(0, self._max_bytes - stream.size)])
        stream.file.flush()

    def _open(self, stream_ctx: StreamContext, fl_ctx: FLContext) -> _Stream:
        try:
            job_id, site, name = accepted_stream(LogStreamer.get_file_name(stream_ctx), self._files, fl_ctx)
        except RefusedStreamError as error:
            self.log_warning(fl_ctx, f"A log is refused: {error}")
            return _Stream("", "", self._folder, None)
        path = self._folder / job_id / site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return _Stream(job_id, site, path, path.open("wb"))

    def end(self, stream_ctx: StreamContext, fl_ctx: FLContext) -> None:
        """Close a log, and store it if the site sent all of it."""
        with self._lock:
            stream = self._streams.pop(id(stream_ctx), None)
        if stream is None or stream.file is None:
            return
        stream.file.close()
        if LogStreamer.get_rc(stream_ctx) != ReturnCode.OK:
            self.log_warning(fl_ctx, f"{stream.path} is incomplete: the stream broke off")
            return
        manager = fl_ctx.get_engine().get_component(SystemComponents.JOB_MANAGER)
        if manager is not None:
            kind = _data_type(stream.path.name)
            manager.set_client_data(stream.job_id, str(stream.path), stream.site, kind, fl_ctx)


def accepted_stream(file_name: Any, files: Sequence[str], fl_ctx: FLContext) -> tuple[str, str, str]:
    """Return the job, the site and the file name of a stream.

    Args:
        file_name: name of the file at the site, as the site sent it.
        files: names of the files that the server accepts.
        fl_ctx: the context of the message, with what the site sent about itself.

    Raises:
        RefusedStreamError: a name is not a plain name, there is no such job, or the site does not allow it.
    """
    peer = fl_ctx.get_peer_context()
    job_id: Any = peer.get_job_id() if peer is not None else None
    site: Any = peer.get_identity_name() if peer is not None else None
    if not is_valid_job_id(job_id):
        raise RefusedStreamError(f"{job_id!r} is not the id of a job")
    if not _is_plain_name(site):
        raise RefusedStreamError(f"{site!r} is not the name of a site")
    if file_name not in files:
        raise RefusedStreamError(f"{site!r} sent {file_name!r}; accepted are {', '.join(files)}")
    if not _is_known(job_id, fl_ctx):
        raise RefusedStreamError(f"{site!r} sent a log of {job_id}, and the server has no such job")
    sites = ServerJobs(fl_ctx.get_engine()).sites(job_id)  # empty if the job does not run in this server
    if sites and site not in sites:
        raise RefusedStreamError(f"{site!r} takes no part in {job_id}")
    client = fl_ctx.get_engine().get_client_from_name(site)
    if client is not None and not (client.get_site_config() or {}).get(ALLOW_LOG_STREAMING_VAR, True):
        raise RefusedStreamError(f"{site} has {ALLOW_LOG_STREAMING_VAR} disabled in its resources.json")
    return job_id, site, file_name


def _is_plain_name(name: Any) -> bool:
    """Return whether a name is one component of a path."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")


def _is_known(job_id: str, fl_ctx: FLContext) -> bool:
    """Return whether this process runs the job, or the job store has it.

    A site may send a log after its job has ended: that of a job that did not start, for example.
    """
    if job_id == fl_ctx.get_job_id():
        return True
    manager = fl_ctx.get_engine().get_component(SystemComponents.JOB_MANAGER)
    return manager is not None and manager.get_job(job_id, fl_ctx) is not None


def _data_type(file_name: str) -> str:
    """Return NVFlare's name of a log in the job store, without the site."""
    if file_name == WorkspaceConstants.ERROR_LOG_FILE_NAME:
        return str(DataTypes.ERRORLOG.value)
    return f"{DataTypes.LOG.value}_{file_name}"

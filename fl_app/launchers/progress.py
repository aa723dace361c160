"""Progress of a job: its process tells its parent, which then allows all restarts again.

A message needs no file that the process or pod of the job and its parent share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.utils import make_reply, new_cell_message
from nvflare.fuel.f3.message import Message

CHANNEL = "flarefleet"
TOPIC = "job_progress"

_followers: dict[str, Callable[[int | None], None]] = {}
_lock = threading.Lock()


class ProgressReports:
    """In a job process, tell the parent about each round of the server and each result of a site."""

    def __init__(self) -> None:
        self._round = -1

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        engine = fl_ctx.get_engine()
        if not isinstance(engine, ServerEngineSpec):
            if event_type == EventType.AFTER_SEND_TASK_RESULT:
                _tell_parent(engine.get_cell(), None)
            return
        number = None
        if event_type == AppEventType.ROUND_STARTED:
            number = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
        elif event_type == EventType.AFTER_TASK_DATA_FILTER:
            task = fl_ctx.get_prop(FLContextKey.TASK_DATA)
            number = task.get_header(AppConstants.CURRENT_ROUND) if isinstance(task, Shareable) else None
        if number is not None and int(number) > self._round:
            self._round = int(number)
            _tell_parent(engine.cell, self._round)


def _tell_parent(cell: Any, position: int | None) -> None:
    cell.fire_and_forget(
        channel=CHANNEL,
        topic=TOPIC,
        targets=FQCN.get_parent(cell.get_fqcn()),
        message=new_cell_message({}, {"position": position}),
        optional=True,
    )


def follow(cell: Any, job_id: str, progressed: Callable[[int | None], None]) -> None:
    """In a parent, call a function at each progress of a job; it replaces that of an earlier launch.

    Args:
        cell: cell of the parent.
        job_id: the job.
        progressed: receives the round that the server's job process reached; None for a result of a site.
    """
    with _lock:
        _followers[job_id] = progressed
    cell.register_request_cb(channel=CHANNEL, topic=TOPIC, cb=_receive)


def unfollow(job_id: str, progressed: Callable[[int | None], None]) -> None:
    """Stop calling a function; that of a later launch of the same job stays."""
    with _lock:
        if _followers.get(job_id) == progressed:
            del _followers[job_id]


def _receive(message: Message) -> Message:
    job_id = str(message.get_header(MessageHeaderKey.ORIGIN) or "").rpartition(FQCN.SEPARATOR)[2]
    position = message.payload.get("position") if isinstance(message.payload, dict) else None
    with _lock:
        progressed = _followers.get(job_id)
    if progressed is not None:
        progressed(position if isinstance(position, int) else None)
    return make_reply(ReturnCode.OK)

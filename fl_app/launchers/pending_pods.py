"""A site's parent tells the server's job process why the site's job pod does not run yet; from there it
reaches `flarefleet watch`."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.utils import make_reply, new_cell_message
from nvflare.fuel.f3.message import Message
from nvflare.widgets.info_collector import InfoCollector
from nvflare.widgets.widget import Widget

from fl_app.telemetry.job_progress import WAITING_GROUP

CHANNEL = "flarefleet"
TOPIC = "job_pod_waits"
FORGOTTEN_AFTER = 30.0
"""Seconds after which a site that says no more no longer waits: it says so every few seconds."""
_LONGEST = 600
_MOST_SITES = 10_000

_log = logging.getLogger(__name__)


def tell_server(cell: Any, job_id: str, reason: str) -> None:
    """Tell a job's process on the server why this site's part does not run; empty: it does.

    It is told again while that lasts, so that nothing is lost if it is not there yet.
    """
    cell.fire_and_forget(
        channel=CHANNEL,
        topic=TOPIC,
        targets=FQCN.join([FQCN.ROOT_SERVER, job_id]),
        message=new_cell_message({}, {"reason": reason[:_LONGEST]}),
        optional=True,
    )


class PendingSites(Widget):
    """In the server's job process: which sites wait for their job pods, for NVFlare's `show_stats`.

    It comes with every job through the site's privacy.json; in a site's job process it does nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[str, float]] = {}

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Listen from START_RUN on, answer when asked."""
        if event_type == EventType.START_RUN:
            engine = fl_ctx.get_engine()
            cell = getattr(engine, "cell", None) if isinstance(engine, ServerEngineSpec) else None
            if cell is not None:
                cell.register_request_cb(channel=CHANNEL, topic=TOPIC, cb=self._told)
        elif event_type == InfoCollector.EVENT_TYPE_GET_STATS:
            collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
            if collector is not None and (waiting := self.waiting(time.monotonic())):
                collector.set_info(WAITING_GROUP, waiting)

    def waiting(self, now: float) -> dict[str, str]:
        """The sites that wait, with why."""
        with self._lock:
            return {
                site: reason for site, (reason, told) in self._waiting.items() if now - told < FORGOTTEN_AFTER
            }

    def _told(self, message: Message) -> Message:
        site = FQCN.get_root(message.get_header(MessageHeaderKey.ORIGIN) or "")
        payload = message.payload
        reason = payload.get("reason") if isinstance(payload, dict) else None
        if not site or not isinstance(reason, str):
            return make_reply(ReturnCode.INVALID_REQUEST)
        with self._lock:
            if reason and (site in self._waiting or len(self._waiting) < _MOST_SITES):
                self._waiting[site] = (reason[:_LONGEST], time.monotonic())
            elif not reason:
                self._waiting.pop(site, None)
        return make_reply(ReturnCode.OK)

"""Reports of sites to the server's job process about pending job pods, shown by `flarefleet watch`."""

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

from fl_app.telemetry.job_progress import PENDING_GROUP

CHANNEL = "flarefleet"
TOPIC = "job_pod_waits"
STALE_SECONDS = 30.0
"""Age at which a report is dropped; a site whose pod is pending repeats its report every few seconds."""
_MAX_LENGTH = 600
_MAX_SITES = 10_000

_log = logging.getLogger(__name__)


def report_to_server(cell: Any, job_id: str, reason: str) -> None:
    """Tell a job's process on the server why this site's pod is pending; an empty reason means it runs.

    The message may get lost if that process does not run yet, so callers repeat it.
    """
    cell.fire_and_forget(
        channel=CHANNEL,
        topic=TOPIC,
        targets=FQCN.join([FQCN.ROOT_SERVER, job_id]),
        message=new_cell_message({}, {"reason": reason[:_MAX_LENGTH]}),
        optional=True,
    )


class PendingSites(Widget):
    """Add the sites whose job pods are pending to NVFlare's `show_stats`, in the server's job process.

    Every job gets this component from the site's privacy.json. It does nothing in a site's job process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._reports: dict[str, tuple[str, float]] = {}

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Receive reports from START_RUN on, and return them on request."""
        if event_type == EventType.START_RUN:
            engine = fl_ctx.get_engine()
            cell = getattr(engine, "cell", None) if isinstance(engine, ServerEngineSpec) else None
            if cell is not None:
                cell.register_request_cb(channel=CHANNEL, topic=TOPIC, cb=self._receive)
        elif event_type == InfoCollector.EVENT_TYPE_GET_STATS:
            collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
            if collector is not None and (pending := self.pending(time.monotonic())):
                collector.set_info(PENDING_GROUP, pending)

    def pending(self, now: float) -> dict[str, str]:
        """Return the reasons of pending pods by site; `now` is a time of `time.monotonic`."""
        with self._lock:
            return {
                site: reason
                for site, (reason, received) in self._reports.items()
                if now - received < STALE_SECONDS
            }

    def _receive(self, message: Message) -> Message:
        site = FQCN.get_root(message.get_header(MessageHeaderKey.ORIGIN) or "")
        payload = message.payload
        reason = payload.get("reason") if isinstance(payload, dict) else None
        if not site or not isinstance(reason, str):
            return make_reply(ReturnCode.INVALID_REQUEST)
        with self._lock:
            if reason and (site in self._reports or len(self._reports) < _MAX_SITES):
                self._reports[site] = (reason[:_MAX_LENGTH], time.monotonic())
            elif not reason:
                self._reports.pop(site, None)
        return make_reply(ReturnCode.OK)

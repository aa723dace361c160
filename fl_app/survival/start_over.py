"""Let a job start over that cannot go on after one of its processes was killed, under its own id.

The server's process of the job asks the server's parent, which knows how often the job has started over. If
the parent agrees, the process ends, and the job manager puts the job back into the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import SystemComponents
from nvflare.apis.fl_context import FLContext

from fl_app.guard.finding import Finding
from fl_app.nvflare_internals.parent_messages import Sender, receive_in_server_parent, send_to_server_parent

TOPIC = "start_over"
_ANSWER_SECONDS = 10.0
_SITE, _REASON = "site", "reason"

_log = logging.getLogger(__name__)


def start_over(finding: Finding, fl_ctx: FLContext, panic: Callable[[str, FLContext], None]) -> bool:
    """End this process of a job if the job may start over; return whether it may.

    Args:
        finding: why the job cannot go on.
        fl_ctx: context of the engine of the server's job process.
        panic: ends the process with a reason.
    """
    document = {_SITE: finding.site, _REASON: finding.what}
    try:
        allowed = send_to_server_parent(fl_ctx.get_engine(), TOPIC, document, _ANSWER_SECONDS)
    except Exception as error:  # the cell is not connected
        _log.warning("the server's parent does not answer: %s", error)
        return False
    if allowed:
        panic(f"{finding.site}: {finding.what}; the job starts over from round 1", fl_ctx)
    return allowed


class StartOver:
    """Answer the processes of jobs. Part of the server's parent.

    Events: SYSTEM_BOOTSTRAP registers the receiver.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            engine = fl_ctx.get_engine()
            receive_in_server_parent(engine, TOPIC, partial(allow, engine))


def allow(engine: Any, sender: Sender, document: Mapping[str, Any]) -> bool:
    """Return whether the job whose process on the server has sent a request may start over."""
    manager = engine.get_component(SystemComponents.JOB_MANAGER)
    reason, site = str(document.get(_REASON))[:200], str(document.get(_SITE))[:64]
    with engine.new_context() as fl_ctx:
        return bool(sender.job and manager.allow_start_over(sender.job, reason, site, fl_ctx))

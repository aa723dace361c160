"""What the guard found: one line that names site, round and key and says what to do, and how it travels."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

MARK = "[guard]"
"""Before each reason in logs, so that it is found among what merely follows from it."""
FINDING_EVENT = "flarefleet.guard.finding"
"""An event of NVFlare's, and the topic of a message from a site to the server; see `report`."""
REASON_HEADER = "flarefleet.guard.reason"
"""Of a result that a site's guard has put into the place of an unusable one."""

_MARKED = re.compile(re.escape(MARK) + r" (?P<reason>.+)")


@dataclass(frozen=True)
class Finding:
    """Why a job must end.

    Args:
        what: what is wrong, without a full stop.
        remedy: what to do about it, as a sentence.
        site: where; a site's name or `server`.
        round: from 0, as NVFlare counts; shown from 1, as `flarefleet watch` does.
        key: which parameter, metric or setting.
    """

    what: str
    remedy: str
    site: str = ""
    round: int | None = None
    key: str = ""

    @property
    def line(self) -> str:
        """All of it in one line: `site-2, round 3, fc.weight: what. Remedy.`"""
        place = ", ".join(
            part
            for part in (self.site, "" if self.round is None else f"round {self.round + 1}", self.key)
            if part
        )
        text = f"{place}: {self.what}. {self.remedy}" if place else f"{self.what}. {self.remedy}"
        return " ".join(text.split())

    def document(self) -> dict[str, Any]:
        """As it travels."""
        return asdict(self)


def reasons_in(log: str) -> tuple[str, ...]:
    """Each reason of the guard in a log of NVFlare's, once, in its order."""
    return tuple(dict.fromkeys(match["reason"].strip() for match in _MARKED.finditer(log)))


def report(fl_ctx: Any, finding: Finding) -> None:
    """End the job with a reason, from any component on the server or at a site.

    Args:
        fl_ctx: NVFlare's context of the event that is being handled, or a new one of the engine.
        finding: the reason.
    """
    from nvflare.apis.fl_constant import FLContextKey

    fl_ctx.set_prop(FLContextKey.EVENT_DATA, finding, private=True, sticky=False)
    fl_ctx.get_engine().fire_event(FINDING_EVENT, fl_ctx)


def refusal(reason: str) -> Any:
    """The result of a task that a site sends in place of one that must not be sent.

    Args:
        reason: `Finding.line`.
    """
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.shareable import make_reply

    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply.set_header(REASON_HEADER, reason)
    return reply

"""Reasons for which the guard ends a job: one line with the site, the round, the parameter and the remedy."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

MARK = "[guard]"
"""Prefix of each reason in logs; distinguishes the reason from the errors that follow from it."""
WARNING_MARK = "[guard warning]"
"""Prefix of each warning in logs."""
WARNING_EVENT = "flarefleet.guard.warning"
"""NVFlare event in the server's job process, for each new warning."""
FINDING_EVENT = "flarefleet.guard.finding"
"""NVFlare event, and topic of the message from a site to the server; see `report`."""
REASON_HEADER = "flarefleet.guard.reason"
"""Header of the error that replaces an unusable result."""
FINDING_HEADER = "flarefleet.guard.found"
"""Header of a result: what the site's guard found in it before a filter changed the numbers."""

_MARKED = re.compile(re.escape(MARK) + r" (?P<reason>.+)")


@dataclass(frozen=True)
class Finding:
    """A reason to end a job, or to warn about it: its rule decides.

    Args:
        what: the problem, without a full stop.
        remedy: what to do, as a sentence.
        site: name of a site, or `server`.
        round: number of the round, from 1; NVFlare counts from 0.
        key: parameter, metric or setting.
        rule: name of a rule of `rule_table.RULES`; without one, the finding ends the job.
    """

    what: str
    remedy: str
    site: str = ""
    round: int | None = None
    key: str = ""
    rule: str = ""

    @property
    def line(self) -> str:
        """The reason in one line: `site-2, round 3, fc.weight: what. Remedy.`"""
        place = ", ".join(
            part
            for part in (self.site, "" if self.round is None else f"round {self.round}", self.key)
            if part
        )
        text = f"{place}: {self.what}. {self.remedy}" if place else f"{self.what}. {self.remedy}"
        return " ".join(text.split())

    def at(self, site: str, round: int | None) -> Finding:
        """Return the same finding with its site and round."""
        return replace(self, site=site, round=round)

    def document(self) -> dict[str, Any]:
        """Return the fields, as a site sends them to the server."""
        return asdict(self)

    @classmethod
    def of(cls, document: Any) -> Finding:
        """Return the finding that `document` made."""
        return cls(**{name: document[name] for name in cls.__dataclass_fields__ if name in document})


def reasons_in(log: str) -> tuple[str, ...]:
    """Return the distinct reasons in a log of NVFlare, in order."""
    return tuple(dict.fromkeys(match["reason"].strip() for match in _MARKED.finditer(log)))


def report(fl_ctx: Any, finding: Finding) -> None:
    """End the job with a reason, or warn, from any component on the server or at a site.

    Args:
        fl_ctx: context of the current event, or a new context of the engine.
        finding: reason.
    """
    from nvflare.apis.fl_constant import FLContextKey

    fl_ctx.set_prop(FLContextKey.EVENT_DATA, finding, private=True, sticky=False)
    fl_ctx.get_engine().fire_event(FINDING_EVENT, fl_ctx)


def fail(component: Any, fl_ctx: Any, finding: Finding) -> None:
    """End the job through the guard, and through a panic of `component` if the job has no guard."""
    report(fl_ctx, finding)
    component.system_panic(finding.line, fl_ctx)


def refusal(reason: str) -> Any:
    """Return the error that replaces an unusable result of a task.

    Args:
        reason: `Finding.line`.
    """
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.shareable import make_reply

    reply = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    reply.set_header(REASON_HEADER, reason)
    return reply

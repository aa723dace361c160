"""Run groups of checks, each within its deadline, and report every result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel

from deploy.errors import FlarefleetError
from fl_app.checks.check import Category, Check, CheckFailed, NotApplicable, Severity
from fl_app.checks.exit_codes import StartupError

FAILURES = (FlarefleetError, StartupError, CheckFailed, OSError)
"""Errors of a check whose text is for the user."""


class Status(str, Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


class Result(BaseModel, frozen=True):
    """A check and its result."""

    name: str
    category: Category
    status: Status
    detail: str = ""
    """What was found, or what is wrong and what to do."""
    description: str
    remedy: str
    severity: Severity
    deadline: float
    """Seconds."""
    documentation: str


@dataclass(frozen=True)
class Group:
    """Checks of one subject."""

    checks: Sequence[Check[Any]]
    subject: Callable[[], Any]
    """Return the subject. Its errors are failures of each check."""
    needs: str = ""
    """Name of an earlier check without which these cannot be made."""
    is_optional: bool = False
    """Whether its errors are warnings, because it is not certain that the user needs it."""


def examine(groups: Iterable[Group]) -> Iterator[Result]:
    """Run the checks in their order. After a fatal failure, the rest of its group is skipped."""
    failed: set[str] = set()
    for group in groups:
        blocked_by = group.needs if group.needs in failed else ""
        for check in group.checks:
            if blocked_by:
                result = _result(check, Status.SKIPPED, f"not checked, because {blocked_by} failed")
                failed.add(check.name)
            else:
                result = _run(check, group)
            if result.status in (Status.ERROR, Status.WARNING):
                failed.add(check.name)
                blocked_by = check.name if check.is_fatal else ""
            yield result


def as_documents(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Run the checks and return their results for JSON."""
    return [result.model_dump(mode="json") for result in examine(groups)]


def _run(check: Check[Any], group: Group) -> Result:
    """Run a check in a thread, which is left behind if the deadline passes."""
    outcome: list[tuple[Status, str] | BaseException] = []
    failure = Status.WARNING if group.is_optional or check.severity is Severity.WARNING else Status.ERROR

    def run() -> None:
        try:
            outcome.append((Status.OK, check.run(group.subject()) or ""))
        except NotApplicable as reason:
            outcome.append((Status.SKIPPED, str(reason)))
        except FAILURES as error:
            outcome.append((failure, str(error)))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(check.deadline)
    if not outcome:
        late = f"no result after {check.deadline:g} s: this machine is busy, or what the check asks is slow"
        return _result(check, failure, f"{late}. Try again")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return _result(check, *outcome[0])


def _result(check: Check[Any], status: Status, detail: str) -> Result:
    return Result(
        name=check.name,
        category=check.category,
        status=status,
        detail=detail,
        description=check.description,
        remedy=check.remedy,
        severity=check.severity,
        deadline=check.deadline,
        documentation=check.anchor,
    )

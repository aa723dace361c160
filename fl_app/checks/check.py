"""What a check is: a name, what it finds, what to do, and the function that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

PAGE = "docs/doctor.md"

Subject = TypeVar("Subject")


class Severity(str, Enum):
    """What a failed check means."""

    ERROR = "error"
    """The federation or the participant does not work."""
    WARNING = "warning"
    """It works, and will fail later or under some conditions."""


class Category(str, Enum):
    """What a check examines."""

    PROJECT = "project"
    WORKSPACE = "workspace"
    KIT = "kit"
    CREDENTIALS = "credentials"
    CONNECTION = "connection"
    MACHINE = "machine"
    PARENT = "parent"
    PROCESS = "process runtime"
    DOCKER = "docker runtime"
    KUBERNETES = "kubernetes runtime"
    FEDERATION = "federation"


class CheckFailed(Exception):  # noqa: N818 - a result
    """A check failed that no start of a parent makes; the text says what is wrong and what to do."""


class NotApplicable(Exception):  # noqa: N818 - no error
    """A check does not apply to this subject or cannot be made here; the text says why."""


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A check of a subject, such as a startup kit or a machine."""

    name: str
    """Also its anchor in docs/doctor.md."""
    category: Category
    description: str
    """What is true if the check succeeds."""
    remedy: str
    """What to do if it fails. The message of a failure is more specific."""
    run: Callable[[Subject], str | None]
    """Return a fact for the report, or raise an error with the reason."""
    severity: Severity = Severity.ERROR
    deadline: float = 10.0
    """Seconds after which the check counts as failed."""
    is_fatal: bool = False
    """Whether the checks after it in its list cannot be made if it fails."""

    @property
    def anchor(self) -> str:
        """Where the documentation explains it."""
        return f"{PAGE}#{self.name}"


def require(checks: Iterable[Check[Subject]], subject: Subject) -> None:
    """Run checks in their order.

    Raises:
        Exception: the error of the first check that fails.
    """
    for check in checks:
        check.run(subject)

"""Errors that are shown to the user, each with its exit code."""

from __future__ import annotations

from collections.abc import Iterable


class FlarefleetError(Exception):
    """An error whose text tells the user what is wrong, where, and what to do. Shown without a traceback."""

    exit_code = 70


class Failed(FlarefleetError):  # noqa: N818 - an outcome, such as a failed job, not a fault of the program
    """The requested operation failed: a job failed, a site is not ready."""

    exit_code = 1


class InputError(FlarefleetError):
    """The input is invalid: project.yml, a parameter or an argument. It may have several messages."""

    exit_code = 2

    def __init__(self, messages: str | Iterable[str]) -> None:
        self.messages = (messages,) if isinstance(messages, str) else tuple(messages)
        super().__init__("\n".join(self.messages))


class MachineError(FlarefleetError):
    """This machine lacks something: a container engine, a cluster, a free port, disk space."""

    exit_code = 3

"""The errors that are the user's to read, each with the exit code that scripts rely on."""

from __future__ import annotations

from collections.abc import Iterable


class FlarefleetError(Exception):
    """An error that a user reads as it is: what is wrong, where, what to do. Never shown with a traceback."""

    exit_code = 70


class Failed(FlarefleetError):  # noqa: N818 (what was asked for failed: an outcome, not an error of ours)
    """What was asked for failed: a job failed, a site is not ready."""

    exit_code = 1


class InputError(FlarefleetError):
    """The input is wrong: project.yml, a parameter, an argument.

    Args:
        messages: one text or several; each becomes a line, and all are shown.
    """

    exit_code = 2

    def __init__(self, messages: str | Iterable[str]) -> None:
        self.messages = (messages,) if isinstance(messages, str) else tuple(messages)
        super().__init__("\n".join(self.messages))


class MachineError(FlarefleetError):
    """This machine lacks something: an engine, a cluster, a free port, disk."""

    exit_code = 3

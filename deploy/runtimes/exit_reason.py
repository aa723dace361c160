"""Why a server or site ended, from its exit code and the end of its log: the same words in every runtime."""

from __future__ import annotations

from collections.abc import Iterable

REFUSAL = "flarefleet: cannot run: "
"""How `fl_app.startup` begins the line that says why it ended."""
SIGNALLED = 128


def exit_reason(exit_code: int | None, log: Iterable[str]) -> str:
    """The reason in one line.

    Args:
        exit_code: its exit code, 128 + N for a signal N; None if nobody saw it.
        log: the last lines that it wrote.
    """
    if exit_code is None:
        return "it ended, and nobody was there to see how"
    if exit_code == 0:
        return "it was asked to stop"
    if exit_code > SIGNALLED:
        return f"it was killed by signal {exit_code - SIGNALLED}"
    refusals = [line for line in log if line.startswith(REFUSAL)]
    return refusals[-1].removeprefix(REFUSAL).strip() if refusals else "see its log"

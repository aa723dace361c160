"""Explain why a server or site exited, in the same words in every runtime."""

from __future__ import annotations

from collections.abc import Iterable

REFUSAL = "flarefleet: cannot run: "
"""Prefix of the line in which `fl_app.startup` gives the reason."""
STOPPED = "flarefleet: stopped"
"""Its last line if it was stopped."""
SIGNALLED = 128
OUT_OF_MEMORY = "it exceeded its memory limit (deployment: resources: limits: memory)"


def exit_reason(exit_code: int | None, log: Iterable[str]) -> str:
    """Return the reason in one line.

    Args:
        exit_code: 128 + N for a signal N; None if unknown.
    """
    lines = list(log)
    if exit_code == 0 or (exit_code is None and lines and lines[-1].startswith(STOPPED)):
        return "stopped on request"
    if exit_code is not None and exit_code > SIGNALLED:
        return f"killed by signal {exit_code - SIGNALLED}"
    refusals = [line for line in lines if line.startswith(REFUSAL)]
    if refusals and (exit_code is not None or refusals[-1] == lines[-1]):
        return refusals[-1].removeprefix(REFUSAL).strip()
    return "exited; the exit status is unknown" if exit_code is None else "see its log"

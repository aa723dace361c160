"""Waiting for a federation to be ready, the same in every runtime: with progress, a deadline and reasons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from deploy.errors import Failed
from deploy.runtimes.protocol import FederationStatus, Progress, SiteState, SiteStatus

LOG_LINES = 15
"""How much of its log is shown of what is not ready."""
IN_VAIN = (SiteState.EXITED, SiteState.CANNOT_START)
"""Waiting longer would not help."""


def wait_until_ready(
    status: Callable[[], FederationStatus],
    log: Callable[[str], Iterable[str]],
    progress: Progress | None,
    timeout: float,
    poll: float = 0.1,
) -> FederationStatus:
    """Look again and again until all are ready, one has ended or cannot start, or time is up.

    Args:
        status: the federation as it is now.
        log: the lines of one server's or site's log.
        progress: called with each change.
        timeout: seconds.
        poll: seconds between two looks.

    Raises:
        Failed: not all became ready: which, why, and the end of the log of the first that ended, or else
            of the first.
    """
    deadline = time.monotonic() + timeout
    seen = None
    while True:
        found = status()
        if progress is not None and found != seen:
            progress(found)
        seen = found
        if found.is_ready:
            return found
        if time.monotonic() > deadline or any(site.state in IN_VAIN for site in found.sites):
            raise Failed(_explain(found, log, timeout))
        time.sleep(poll)


def describe(site: SiteStatus) -> str:
    """Why a server or site is not ready, in one line."""
    code = "" if site.exit_code is None else f" (exit code {site.exit_code})"
    return f"{site.name} is not ready: {site.reason or site.state.value}{code}"


def _explain(status: FederationStatus, log: Callable[[str], Iterable[str]], timeout: float) -> str:
    ended = [site for site in status.sites if site.state in IN_VAIN]
    late = ended or [site for site in status.sites if site.state is not SiteState.READY]
    if not late:
        return "Nothing of the federation runs."
    lines = [describe(site) for site in late]
    if not ended:
        lines.append(f"That took longer than {timeout:.0f} s.")
    first = late[0].name
    end = list(log(first))[-LOG_LINES:]
    if end:
        lines += [f"The end of the log of {first}:", *(f"  {line}" for line in end)]
    return "\n".join(lines)

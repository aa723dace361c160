"""Wait until a federation is ready, with progress, a timeout and reasons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from deploy.errors import Failed
from deploy.runtimes.protocol import FederationStatus, SiteState, StatusCallback

LOG_LINES = 15
"""Log lines shown of a site that is not ready."""
FINAL = (SiteState.EXITED, SiteState.CANNOT_START)
"""States in which waiting cannot help."""


def wait_until_ready(
    status: Callable[[], FederationStatus],
    log: Callable[[str], Iterable[str]],
    progress: StatusCallback | None,
    timeout: float,
    poll: float = 0.1,
    *,
    only: Sequence[str] = (),
) -> FederationStatus:
    """Poll the status until all are ready, one of them has exited or cannot start, or the timeout expires.

    Args:
        log: returns the last log lines of a server or site.
        poll: seconds between two calls of `status`.
        only: the servers and sites to wait for (default: all).

    Raises:
        Failed: not all became ready. The message has the reasons, and the end of the log of the first one
            that exited, or else of the first one that is not ready.
    """
    deadline = time.monotonic() + timeout
    previous = None
    while True:
        current = status().of(only)
        if progress is not None and current != previous:
            progress(current)
        previous = current
        if current.is_ready:
            return current
        if time.monotonic() > deadline or any(site.state in FINAL for site in current.sites):
            raise Failed(_explain(current, log, timeout))
        time.sleep(poll)


def _explain(status: FederationStatus, log: Callable[[str], Iterable[str]], timeout: float) -> str:
    final = [site for site in status.sites if site.state in FINAL]
    late = final or [site for site in status.sites if site.state is not SiteState.READY]
    if not late:
        return "No server or site is running."
    lines = []
    for site in late:
        code = "" if site.exit_code is None else f" (exit code {site.exit_code})"
        lines.append(f"{site.name} is not ready: {site.reason or site.state.value}{code}")
    if not final:
        lines.append(f"The timeout of {timeout:.0f} s has expired.")
    first = late[0].name
    if end := list(log(first))[-LOG_LINES:]:
        lines += [f"The end of the log of {first}:", *(f"  {line}" for line in end)]
    return "\n".join(lines)

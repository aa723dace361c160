"""Decide whether and when a parent that exited is started again."""

from __future__ import annotations

import sys
from pathlib import Path

from fl_app.backoff import Backoff
from fl_app.checks.exit_codes import Exit

START_ATTEMPTS = 5
"""Attempts to register with the server, or to get an exit code that explains why NVFlare exited, before the
parent was ready for the first time. NVFlare itself exits after one lost answer, which is common while the
server starts."""
MAX_DUPLICATES = 1
"""Registrations that the server may refuse in a row because of another process with this kit. Each connection
interrupts that of the other process."""
SIGNALLED = 128
"""Exit codes above are 128 + n after signal n."""

RESTART_REQUEST = "restart.fl"
SHUTDOWN_REQUEST = "shutdown.fl"
"""Files that NVFlare creates in the workspace when an administrator requests a restart or a shutdown."""

_MAY_PASS = (
    Exit.SPACE,
    Exit.IN_USE,
    Exit.PORT,
    Exit.SERVER_NAME,
    Exit.SERVER_UNREACHABLE,
    Exit.NO_ANSWER,
    Exit.NVFLARE,
    Exit.NVFLARE_ENDED,
)
"""Reasons that may pass without a person. They end a first start, whose reason `up` reports."""


class Restarts:
    """Decide on each exit of a parent, and count its restarts.

    Args:
        workspace: workspace of the parent.
        is_enabled: False if only an administrator's request restarts the parent.
        count: restarts by the runtime before this process.
        last: why the parent exited before the last of them.
    """

    def __init__(self, workspace: Path, is_enabled: bool = True, count: int = 0, last: str = "") -> None:
        self.count = count
        self.last = last
        self._workspace = workspace
        self._is_enabled = is_enabled
        self._backoff = Backoff()
        self._attempts = 0
        self._duplicates = 0
        self._was_running = count > 0

    @property
    def was_running(self) -> bool:
        """Whether the parent has run before, so that the cause of a failed start may pass."""
        return self._was_running

    @property
    def waits_for_other(self) -> bool:
        """Whether the server refused the last registration, since another process has this kit."""
        return self._duplicates > 0

    def delay_after(self, code: int, ran: float) -> float | None:
        """Return the seconds until the next start; None if the parent must not be started again.

        Print what happened to stderr if it is.

        Args:
            code: exit code of the parent; 128 + n after signal n.
            ran: seconds for which it ran.
        """
        self._duplicates = self._duplicates + 1 if code == Exit.DUPLICATE else 0
        if code not in list(Exit) and code <= SIGNALLED:
            if self._take_request(RESTART_REQUEST):
                self._print("an administrator requested a restart", 0.0)
                return 0.0
            if self._take_request(SHUTDOWN_REQUEST):
                return None
        if not self._should_restart(code):
            return None
        delay = self._backoff.delay_after(ran)
        if self._was_running:  # an attempt to start is no restart
            self.last = describe(code)
            self.count += 1
        self._print(f"the parent {describe(code)}", delay)
        return delay

    def _should_restart(self, code: int) -> bool:
        if code == Exit.NO_ANSWER and not self._was_running:
            self._attempts += 1
            return self._attempts < START_ATTEMPTS
        if not self._is_enabled:
            return False
        if code == Exit.DUPLICATE:
            return self._duplicates <= MAX_DUPLICATES
        if code == 0 or code > SIGNALLED or code == Exit.NVFLARE_ENDED:  # 0: after a SIGTERM to the parent
            self._was_running = True
            return True
        if self._was_running:
            return code in _MAY_PASS or code not in list(Exit)
        self._attempts += 1
        return code not in list(Exit) and self._attempts < START_ATTEMPTS  # NVFlare ended the process

    def _take_request(self, name: str) -> bool:
        """Remove an administrator's request, and return whether there was one."""
        try:
            (self._workspace / name).unlink()
        except OSError:
            return False
        return True

    @staticmethod
    def _print(reason: str, delay: float) -> None:
        when = f" in {delay:.0f} s" if delay else ""
        print(f"flarefleet: {reason}; starting it again{when}", file=sys.stderr, flush=True)


def describe(code: int) -> str:
    """Return how a parent exited, such as `was killed by signal 9`."""
    if code > SIGNALLED:
        return f"was killed by signal {code - SIGNALLED}"
    name = f" ({Exit(code).name})" if code in list(Exit) else ""
    return f"exited with code {code}{name}"

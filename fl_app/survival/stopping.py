"""What the parts of a parent do when it is told to stop, or when another process has its registration.

`fl_app.startup` runs the steps in the process of the parent; the parts only add them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from fl_app.child_process import announce_end

_log = logging.getLogger(__name__)
_steps: list[Callable[[], object]] = []
_withdraw: Callable[[str], object] | None = None


def before_exit(step: Callable[[], object]) -> None:
    """Run `step` when this parent is told to stop."""
    _steps.append(step)


def stop(seconds: float) -> None:
    """Run all steps, for at most `seconds` together. The processes of jobs are not started again from now on.

    The steps run in a thread: a signal handler interrupts the main thread wherever it is.
    """
    announce_end()
    thread = threading.Thread(target=_run_steps, name="stop", daemon=True)
    thread.start()
    thread.join(seconds)


def on_withdrawal(exit_parent: Callable[[str], object]) -> None:
    """Set the function that ends this parent with a reason."""
    global _withdraw  # noqa: PLW0603 - a process has one parent
    _withdraw = exit_parent


def withdraw(reason: str) -> None:
    """End this parent, whose registration another process has taken. Its supervisor decides what follows."""
    announce_end()
    if _withdraw is not None:
        _withdraw(reason)


def _run_steps() -> None:
    for step in _steps:
        try:
            step()
        except Exception:
            _log.exception("a step before the exit failed")

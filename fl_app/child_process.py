"""Child processes of a parent: they end when their parent ends, even if the parent is killed."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import threading

PARENT_GRACE_SECONDS = 3.0
"""Grace period for NVFlare to end a job by itself after its parent ended; then the process exits."""

_PARENT_EXITED = 9
"""Exit code of a child process whose parent ended; NVFlare reads 9 as aborted."""


_PR_SET_CHILD_SUBREAPER = 36

_ending = threading.Event()


def announce_end() -> None:
    """Record that this parent ends: the processes of its jobs, which it kills, are not started again."""
    _ending.set()


def is_ending() -> bool:
    """Return whether this parent ends."""
    return _ending.is_set()


def adopt_orphans() -> None:
    """Let this process adopt orphans among its descendants (child subreaper of Linux), instead of init."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent(parent: int) -> None:
    """End this process PARENT_GRACE_SECONDS after the process `parent` ends.

    A pidfd reports the end of the process. Linux's PR_SET_PDEATHSIG would report the end of the *thread* that
    started this process.

    Args:
        parent: process id of the parent. If no such process exists, this process exits immediately.
    """
    try:
        watch = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(_PARENT_EXITED)
    except (AttributeError, OSError):
        return  # Linux before 5.3 has no pidfd; NVFlare itself checks the parent once a second.

    def wait_and_exit() -> None:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll()
        threading.Event().wait(PARENT_GRACE_SECONDS)
        os._exit(_PARENT_EXITED)

    threading.Thread(target=wait_and_exit, name="end-with-parent", daemon=True).start()

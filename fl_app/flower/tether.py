"""Runs a command and leaves nothing of it behind: `python -m fl_app.flower.tether PID COMMAND...`.

Flower's SuperLink and SuperNode start processes of their own in sessions of their own. Whatever ends first,
the command, the process PID or this one by SIGTERM: all that the command started ends, too.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

import psutil

GRACE = 3.0
"""Seconds in which processes end by themselves after SIGTERM."""
_PR_SET_CHILD_SUBREAPER = 36
_TOLD_TO_END = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    parent, command = int(arguments[0]), arguments[1:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # Orphans of the command become children of this process, not of init, where nobody could tell them apart.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        parent_gone = os.pidfd_open(parent)
    except ProcessLookupError:
        return 1
    process = subprocess.Popen(command)
    poll = select.poll()
    for event in (woken, parent_gone, os.pidfd_open(process.pid)):
        poll.register(event, select.POLLIN)
    poll.poll()
    code = process.poll()
    end_all_below(psutil.Process())
    return _TOLD_TO_END if code is None else code


def end_all_below(root: psutil.Process) -> None:
    """End every process below `root`: by SIGTERM, and after the grace by SIGKILL."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        below = root.children(recursive=True)
        for process in below:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(below, timeout=GRACE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run a command, and end its descendants with it: `python -m fl_app.flower.child_reaper PID COMMAND...`.

Flower's SuperLink and SuperNode start processes in sessions of their own. This process ends all of them when
the command exits, when the process PID exits, or when it receives SIGTERM itself.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import psutil

from fl_app.child_process import adopt_orphans

GRACE_PERIOD = 3.0
"""Seconds between SIGTERM and SIGKILL."""
_TERMINATED = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    parent, command = int(arguments[0]), arguments[1:]
    signalled, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    adopt_orphans()  # it could not identify them among the children of init
    try:
        parent_exited = os.pidfd_open(parent)
    except ProcessLookupError:
        return 1
    process = subprocess.Popen(command)
    poll = select.poll()
    for event in (signalled, parent_exited, os.pidfd_open(process.pid)):
        poll.register(event, select.POLLIN)
    poll.poll()
    code = process.poll()
    end_descendants(psutil.Process())
    return _TERMINATED if code is None else code


def end_descendants(root: psutil.Process) -> None:
    """End every descendant of `root` by SIGTERM, and after the grace period by SIGKILL."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        descendants = root.children(recursive=True)
        for process in descendants:
            try:
                end(process)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(descendants, timeout=GRACE_PERIOD)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

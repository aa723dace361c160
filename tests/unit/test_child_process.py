"""A child process ends with its parent, even if the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil

CHILD = textwrap.dedent("""
    import sys, time
    from fl_app import child_process
    child_process.PARENT_GRACE_SECONDS = 0.1
    child_process.end_with_parent(int(sys.argv[1]))
    print("up", flush=True)
    time.sleep(600)
""")
PARENT = textwrap.dedent(f"""
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())], stdout=subprocess.PIPE,
    text=True)
    child.stdout.readline()
    print(child.pid, flush=True)
    time.sleep(600)
""")


def exits_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_job_process_exits_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.communicate()
    try:
        assert exits_within(child, 10)
    finally:
        if psutil.pid_exists(child):
            os.kill(child, signal.SIGKILL)


def test_a_job_process_without_a_parent_exits_at_once() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(gone.pid)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 9
    assert done.stdout == ""

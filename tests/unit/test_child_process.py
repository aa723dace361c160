"""A child process exits with its parent, even if the parent is killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import psutil

from tests.processes import is_running
from tests.waiting import eventually

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


def test_a_job_process_exits_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    try:
        eventually(lambda: not is_running(child), 10, "the job process has exited")
    finally:
        if is_running(child):
            child.kill()


def test_a_job_process_without_a_parent_exits_immediately() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ""])
    parent.wait()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(parent.pid)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 9
    assert done.stdout == ""

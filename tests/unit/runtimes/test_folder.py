"""The records of a federation of processes: a process is known by its number and when it began."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from deploy.runtimes.process.run_folder import MARK, Plan, ProcessRunFolder
from deploy.runtimes.records import Record


def test_a_record_finds_its_process_and_no_later_one_of_that_number() -> None:
    created = psutil.Process().create_time()

    assert Record(pid=os.getpid(), created=created).process() is not None
    assert Record(pid=os.getpid(), created=created - 10).process() is None
    assert Record(pid=os.getpid(), created=created, exit_code=0).process() is None


def test_a_zombie_does_not_run() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    record = Record(pid=child.pid, created=psutil.Process(child.pid).create_time())
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert record.process() is None
    child.wait()


def test_a_damaged_plan_is_no_plan(tmp_path: Path) -> None:
    folder = ProcessRunFolder(tmp_path / "run")
    folder.make()
    folder.write_plan(Plan(project="clinics", server_address="localhost:8002", members=()))
    assert folder.plan() is not None

    (tmp_path / "run" / ".state" / "plan.json").write_text('{"project": ')

    assert folder.plan() is None


def test_only_processes_that_carry_the_mark_of_this_very_federation_are_ours(tmp_path: Path) -> None:
    ours, theirs = ProcessRunFolder(tmp_path / "ours"), ProcessRunFolder(tmp_path / "theirs")
    sleeper = [sys.executable, "-c", "print(flush=True); import time; time.sleep(60)"]
    with subprocess.Popen(sleeper, env={MARK: str(ours.root)}, stdout=subprocess.PIPE) as marked:
        assert marked.stdout is not None
        marked.stdout.readline()

        assert [process.pid for process in ours.processes()] == [marked.pid]
        assert theirs.processes() == []
        marked.kill()

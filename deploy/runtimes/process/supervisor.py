"""The program that starts servers and sites and stays until the last has ended, to write down how each ended.

`up` starts `python -m deploy.runtimes.process.supervisor RUN_FOLDER NAME...` in its own session, so that the
started processes continue when the command ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from deploy.runtimes.process.run_folder import Member, RunFolder
from deploy.runtimes.records import Record


def main(arguments: list[str]) -> int:
    """Start the named ones and wait."""
    folder = RunFolder(Path(arguments[0]))
    names = arguments[1:]
    plan = folder.plan()
    assert plan is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    records = {}
    for name in names:
        member = plan.member(name)
        assert member is not None
        record = _start(folder, member)
        folder.write_record(name, record)
        records[record.pid] = name, record
    while records:
        pid, status = os.waitpid(-1, 0)
        if pid in records:
            name, record = records.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            folder.write_record(
                name, record.model_copy(update={"exit_code": code if code >= 0 else 128 - code})
            )
    return 0


def _start(folder: RunFolder, member: Member) -> Record:
    home = folder.home(member.name)
    home.mkdir(mode=0o700, exist_ok=True)
    credentials = {}
    if member.credentials:
        from deploy.project.server_environment import read_credentials

        credentials = read_credentials(member.credentials)
    with folder.log(member.name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fl_app.startup"],
            cwd=home,
            env=os.environ | dict(member.environment) | credentials,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Record(pid=process.pid, created=psutil.Process(process.pid).create_time())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Start servers and sites, wait until the last one exits, and record the exit code of each.

`up` starts `python -m deploy.runtimes.process.supervisor RUN_FOLDER NAME...` in its own session, so that the
processes keep running when the command ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from deploy.runtimes.process.run_folder import ParentSpec, ProcessRunFolder
from deploy.runtimes.records import ProcessRecord


def main(arguments: list[str]) -> int:
    """Start the named servers and sites and wait for them."""
    folder = ProcessRunFolder(Path(arguments[0]))
    spec = folder.spec()
    assert spec is not None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    records = {}
    for name in arguments[1:]:
        member = spec.member(name)
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


def _start(folder: ProcessRunFolder, spec: ParentSpec) -> ProcessRecord:
    home = folder.workspace(spec.name)
    home.mkdir(mode=0o700, exist_ok=True)
    credentials = {}
    if spec.credentials:
        from deploy.project.server_environment import read_credentials

        credentials = read_credentials(spec.credentials)
    with folder.log(spec.name).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fl_app.startup"],
            cwd=home,
            env=os.environ | dict(spec.environment) | credentials,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return ProcessRecord(pid=process.pid, created=psutil.Process(process.pid).create_time())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How the process of a job ended, and what its parent tells the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fl_app.guard.site_error import SITE_ERROR_TOPIC
from fl_app.launchers import process_end
from fl_app.launchers.process_end import end_of_process, report_end

_RUN = """\
import sys
from pathlib import Path
from fl_app.launchers.process_end import recording_end

def main(args):
    exec(args)

recording_end(main, Path(sys.argv[1]))(sys.argv[2])
"""
_WRAPPED = """\
try:
    import medpy
except ImportError as error:
    raise RuntimeError("cannot build the component") from error
"""


def run(code: str, folder: Path) -> int:
    command = [sys.executable, "-c", _RUN, str(folder), code]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


def test_a_clean_end_is_no_error(tmp_path: Path) -> None:
    assert end_of_process(tmp_path, run("pass", tmp_path)) is None


def test_a_process_that_exits_with_success_in_the_middle_is_an_error(tmp_path: Path) -> None:
    error = end_of_process(tmp_path, run("import os; os._exit(0)", tmp_path))
    assert error is not None
    assert error.what == "its job process ended with exit code 0"
    assert error.ends_site


def test_a_crash_has_its_traceback(tmp_path: Path) -> None:
    error = end_of_process(tmp_path, run("import ctypes; ctypes.string_at(0)", tmp_path))
    assert error is not None
    assert error.what == "its job process was killed by signal 11 (SIGSEGV)"
    assert "string_at" in error.details


def test_the_first_exception_of_a_chain_is_the_cause(tmp_path: Path) -> None:
    error = end_of_process(tmp_path, run(_WRAPPED, tmp_path))
    assert error is not None
    assert error.what == "ModuleNotFoundError: No module named 'medpy'"


def test_an_earlier_run_of_the_job_leaves_no_record(tmp_path: Path) -> None:
    run("pass", tmp_path)
    assert end_of_process(tmp_path, run("import os; os._exit(0)", tmp_path)) is not None


@pytest.mark.parametrize(("aborted", "told"), [(False, True), (True, False)])
def test_the_server_is_told_unless_it_ended_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aborted: bool, told: bool
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(process_end, "tell_server_job", lambda *args, **_: sent.append(args) or True)
    processes = {"j1": {"_abort_requested": aborted}}
    engine = SimpleNamespace(client_executor=SimpleNamespace(run_processes=processes))
    report_end(engine, "j1", tmp_path, -9, "its job process was killed by the kernel")
    assert bool(sent) is told
    if told:
        _, job_id, topic, message = sent[0]
        assert (job_id, topic) == ("j1", SITE_ERROR_TOPIC)
        assert message["what"] == "its job process was killed by the kernel"


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    monkeypatch.setattr(process_end, "tell_server_job", lambda *_, **__: tries.append(1))
    monkeypatch.setattr(process_end, "REPORT_SECONDS", 0.6)
    engine = SimpleNamespace(client_executor=SimpleNamespace(run_processes={}))
    report_end(engine, "j1", tmp_path, 0)
    assert len(tries) >= 2

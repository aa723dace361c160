"""The command line and environment of job processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.fuel.f3.mpm import MainProcessMonitor
from nvflare.utils.process_utils import spawn_process

from fl_app.contract import ENV_FORK_JOBS, ENV_PARENT_PID, KIT_FACTS
from fl_app.guard.site_error import site_errors_in
from fl_app.launchers import entry_point, process_end
from fl_app.launchers.forking import JobTemplate, NotForkedError
from fl_app.launchers.process import ClientJobLauncher, ServerJobLauncher, name_in_project


def job_context(folder: str = "/ws") -> FLContext:
    """Return the context in which NVFlare launches the job `j1` in the workspace `folder`."""
    context = FLContext()
    arguments = {
        JobProcessArgs.EXE_MODULE: ("-m", "nvflare.original"),
        JobProcessArgs.JOB_ID: ("-n", "j1"),
        JobProcessArgs.TOKEN_SIGNATURE: ("-ts", "secret"),
    }
    workspace = SimpleNamespace(
        root_dir=folder,
        get_app_custom_dir=lambda job_id: f"{folder}/{job_id}/custom",
        get_run_dir=lambda job_id: f"{folder}/{job_id}",
        get_app_error_log_file_path=lambda job_id: f"{folder}/{job_id}/error_log.txt",
    )
    context.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)
    return context


@pytest.mark.parametrize(
    ("launcher", "program"),
    [
        (ServerJobLauncher, "fl_app.launchers.server_job"),
        (ClientJobLauncher, "fl_app.launchers.site_job"),
    ],
)
def test_a_job_process_runs_the_kits_program_and_knows_its_parent(
    monkeypatch: pytest.MonkeyPatch, launcher: Any, program: str
) -> None:
    spawned: list[Any] = []
    monkeypatch.setattr(
        "fl_app.launchers.process.spawn_process",
        lambda *process: spawned.append(process) or SimpleNamespace(),
    )
    monkeypatch.setenv(ENV_FORK_JOBS, "false")

    launcher().launch_job({JobConstants.JOB_ID: "j1"}, job_context())

    ((command, environment),) = spawned
    assert command[1:] == ["-m", program, "-n", "j1"]
    assert environment[ENV_PARENT_PID] == str(os.getpid())
    assert "secret" in environment.values()
    assert "/ws/j1/custom" in environment["PYTHONPATH"]


def test_a_job_that_cannot_be_forked_starts_as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[Any] = []

    def refuse(self: JobTemplate, command: list[str], environment: dict[str, str]) -> int:
        raise NotForkedError("the template has 2 threads")

    monkeypatch.setattr(JobTemplate, "fork", refuse)
    monkeypatch.setattr(
        "fl_app.launchers.process.spawn_process",
        lambda *process: spawned.append(process) or SimpleNamespace(),
    )

    ClientJobLauncher().launch_job({JobConstants.JOB_ID: "j1"}, job_context())

    assert len(spawned) == 1


CRASHED = "its job process was killed by signal 6 (SIGABRT), 3 times without progress"


@pytest.fixture
def crashing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FLContext:
    """The context of a job whose processes crash, in a parent whose kit calls it `north`."""
    monkeypatch.setenv(ENV_FORK_JOBS, "false")
    monkeypatch.setattr(
        "fl_app.launchers.process.spawn_process",
        lambda command, environment: spawn_process(
            [sys.executable, "-c", "import os; os.abort()"], environment
        ),
    )
    monkeypatch.setattr("fl_app.launchers.restarts.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("fl_app.launchers.restarts.record", lambda *_: None)
    (tmp_path / "j1").mkdir()
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / KIT_FACTS).write_text('{"name": "north"}')
    context = job_context(str(tmp_path))
    engine = SimpleNamespace(
        cell=SimpleNamespace(register_request_cb=lambda **callback: None),
        client_executor=SimpleNamespace(run_processes={}),
    )
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    return context


def test_a_process_of_the_server_that_always_crashes_is_named_in_the_log_of_its_job(
    crashing: FLContext, tmp_path: Path
) -> None:
    ServerJobLauncher().launch_job({JobConstants.JOB_ID: "j1"}, crashing).wait()
    (error,) = site_errors_in((tmp_path / "j1" / "log.txt").read_text())
    assert (error.site, error.what) == ("server", CRASHED)


def test_the_server_learns_that_a_process_of_a_site_always_crashes_once(
    crashing: FLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message about a process that is started again would end the job."""
    sent: list[Any] = []
    monkeypatch.setattr(process_end, "tell_server_job", lambda *message, **_: sent.append(message[3]) or True)
    ClientJobLauncher().launch_job({JobConstants.JOB_ID: "j1"}, crashing).wait()
    (message,) = sent
    assert (message["what"], message["ends_site"]) == (CRASHED, True)


def test_a_participant_has_the_name_of_its_kit(crashing: FLContext) -> None:
    assert name_in_project(crashing.get_prop(FLContextKey.WORKSPACE_OBJECT)) == "north"
    assert name_in_project(job_context().get_prop(FLContextKey.WORKSPACE_OBJECT)) == ""


@pytest.mark.parametrize(
    ("process_type", "setting", "prepared"),
    [
        (ProcessType.SERVER_PARENT, "", True),
        (ProcessType.CLIENT_PARENT, "true", True),
        (ProcessType.CLIENT_PARENT, "false", False),
        (ProcessType.SERVER_JOB, "", False),
        (ProcessType.CLIENT_JOB, "", False),
    ],
)
def test_only_a_parent_prepares_a_template_and_only_if_it_is_enabled(
    monkeypatch: pytest.MonkeyPatch, process_type: str, setting: str, prepared: bool
) -> None:
    calls: list[JobTemplate] = []
    monkeypatch.setenv(ENV_FORK_JOBS, setting)
    monkeypatch.setattr(JobTemplate, "prepare", lambda self: calls.append(self))  # noqa: PLW0108
    context = FLContext()
    context.set_prop(FLContextKey.PROCESS_TYPE, process_type, private=True, sticky=False)

    ClientJobLauncher().handle_event(EventType.SYSTEM_START, context)

    assert bool(calls) is prepared


def test_a_job_process_exits_if_its_parent_is_already_dead() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    job = subprocess.run(
        [sys.executable, "-m", "fl_app.launchers.site_job"],
        env=os.environ | {ENV_PARENT_PID: str(dead.pid)},
        check=False,
    )
    assert job.returncode == 9


def test_processes_that_a_job_starts_do_not_watch_the_parent_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched: list[int] = []
    monkeypatch.setenv(ENV_PARENT_PID, "4711")
    monkeypatch.setattr(entry_point, "end_with_parent", watched.append)
    monkeypatch.setattr(entry_point, "load_job_process", lambda role: _program())
    monkeypatch.setattr(MainProcessMonitor, "run", lambda **_: ENV_PARENT_PID in os.environ)

    assert entry_point.run_job("client") is False

    assert watched == [4711]


@pytest.mark.parametrize(("target", "ports"), [("server:8002", {8002, 8102}), ("", {8102})])
def test_a_job_process_gives_up_dead_connections_to_the_server_and_its_parent_only(
    monkeypatch: pytest.MonkeyPatch, target: str, ports: set[int]
) -> None:
    limited: list[set[int]] = []
    monkeypatch.delenv(ENV_PARENT_PID, raising=False)
    monkeypatch.setattr(entry_point, "load_job_process", lambda role: _program(sp_target=target))
    monkeypatch.setattr(entry_point, "keep_connected", limited.append)
    monkeypatch.setattr(MainProcessMonitor, "run", lambda **_: 0)

    entry_point.run_job("client")

    assert limited == [ports]


def _program(**arguments: str) -> SimpleNamespace:
    """Return a program of NVFlare's job process, with its arguments."""
    parsed = SimpleNamespace(
        workspace="workspace", job_id="j1", parent_url="tcp://127.0.0.1:8102", **arguments
    )
    return SimpleNamespace(main=None, parse_arguments=lambda: parsed)


@pytest.mark.parametrize(
    ("end", "code"), [(SystemExit("no memory"), 1), (SystemExit(3), 3), (SystemExit(), 0)]
)
def test_a_job_process_that_is_told_to_exit_does_not_wait_for_threads(
    monkeypatch: pytest.MonkeyPatch, end: SystemExit, code: int
) -> None:
    def run(**_: Any) -> None:
        raise end

    monkeypatch.delenv(ENV_PARENT_PID, raising=False)
    monkeypatch.setattr(entry_point, "load_job_process", lambda role: _program())
    monkeypatch.setattr(MainProcessMonitor, "run", run)

    assert entry_point.run_job("client") == code


def test_a_job_process_exits_with_its_code_after_the_handlers_of_atexit(tmp_path: Path) -> None:
    program = (
        "import atexit, sys; from fl_app.launchers.entry_point import exit_now\n"
        "class Late:\n    def __del__(self): print('finalized')\n"
        "late = Late()\n"
        "atexit.register(lambda: print('closed'))\n"
        "import io\n"
        "class Odd(io.RawIOBase):\n    def fileno(self): return None.fileno()\n"
        "odd = Odd()\n"
        "kept = open(sys.argv[1], 'w'); kept.write('last line')\n"
        "exit_now({code})"
    )
    for code, status in (("3", 3), ("None", 0)):
        file = tmp_path / code
        command = [sys.executable, "-c", program.replace("{code}", code), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (status, "closed\n"), done.stderr
        assert file.read_text() == "last line"

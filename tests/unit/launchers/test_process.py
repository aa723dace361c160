"""The command line and environment of job processes."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ProcessType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.fuel.f3.mpm import MainProcessMonitor

from fl_app.contract import ENV_FORK_JOBS, ENV_PARENT_PID
from fl_app.launchers import entry_point
from fl_app.launchers.forking import JobTemplate, NotForkedError
from fl_app.launchers.process import ClientJobLauncher, ServerJobLauncher


def job_context() -> FLContext:
    """Return the context in which NVFlare launches the job `j1`."""
    context = FLContext()
    arguments = {
        JobProcessArgs.EXE_MODULE: ("-m", "nvflare.original"),
        JobProcessArgs.JOB_ID: ("-n", "j1"),
        JobProcessArgs.TOKEN_SIGNATURE: ("-ts", "secret"),
    }
    workspace = SimpleNamespace(
        root_dir="/ws",
        get_app_custom_dir=lambda job_id: f"/ws/{job_id}/custom",
        get_run_dir=lambda job_id: f"/ws/{job_id}",
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
    program = SimpleNamespace(
        main=None, parse_arguments=lambda: SimpleNamespace(workspace="workspace", job_id="j1")
    )
    monkeypatch.setenv(ENV_PARENT_PID, "4711")
    monkeypatch.setattr(entry_point, "end_with_parent", watched.append)
    monkeypatch.setattr(entry_point, "load_job_process", lambda role: program)
    monkeypatch.setattr(MainProcessMonitor, "run", lambda **_: ENV_PARENT_PID in os.environ)

    assert entry_point.run_job("client") is False

    assert watched == [4711]

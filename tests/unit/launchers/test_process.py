"""The command line and environment of job processes."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.fl_constant import FLContextKey, JobConstants
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.fuel.f3.mpm import MainProcessMonitor

from fl_app.contract import ENV_PARENT_PID
from fl_app.launchers import entry_point
from fl_app.launchers.process import ClientJobLauncher, ServerJobLauncher


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
    context = FLContext()
    arguments = {
        JobProcessArgs.EXE_MODULE: ("-m", "nvflare.original"),
        JobProcessArgs.JOB_ID: ("-n", "j1"),
        JobProcessArgs.TOKEN_SIGNATURE: ("-ts", "secret"),
    }
    workspace = SimpleNamespace(
        get_app_custom_dir=lambda job_id: f"/ws/{job_id}/custom", get_run_dir=lambda job_id: f"/ws/{job_id}"
    )
    context.set_prop(FLContextKey.JOB_PROCESS_ARGS, arguments, private=True, sticky=False)
    context.set_prop(FLContextKey.WORKSPACE_OBJECT, workspace, private=True, sticky=False)

    launcher().launch_job({JobConstants.JOB_ID: "j1"}, context)

    ((command, environment),) = spawned
    assert command[1:] == ["-m", program, "-n", "j1"]
    assert environment[ENV_PARENT_PID] == str(os.getpid())
    assert "secret" in environment.values()
    assert "/ws/j1/custom" in environment["PYTHONPATH"]


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

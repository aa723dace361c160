"""Job processes that are forked from a template, compared with new Python processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.app_common.job_launcher.process_launcher import ProcessHandle
from nvflare.utils.process_utils import ProcessAdapter, spawn_process

from fl_app.contract import ENV_PUSH_TOKEN
from fl_app.launchers import forking
from fl_app.launchers.forking import JobTemplate, NotForkedError
from fl_app.launchers.template import Request, refusal, seed_generators
from tests.processes import is_running
from tests.unit.launchers.described_process import EXIT_CODE
from tests.waiting import eventually

PROGRAM = "tests.unit.launchers.described_process"


@pytest.fixture(scope="module")
def template() -> Iterator[JobTemplate]:
    started = JobTemplate("client")
    yield started
    started.stop()


def command(file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", PROGRAM, str(file), *more]


def template_process() -> psutil.Process:
    """Return the running template; there is one."""
    (found,) = (
        one
        for one in psutil.Process().children()
        if is_running(one) and "fl_app.launchers.template" in one.cmdline()
    )
    return found


def ended(process: int) -> int:
    """Wait for a child of this process and return its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_a_forked_process_sees_what_a_new_one_sees(template: JobTemplate, tmp_path: Path) -> None:
    custom = tmp_path / "custom"
    custom.mkdir()
    (custom / "of_the_job.py").touch()
    environment = {
        **os.environ,
        ENV_PUSH_TOKEN: "secret",
        "PYTHONPATH": os.pathsep.join([*sys.path, str(custom)]),  # as NVFlare sets it
    }
    seen = []
    for start in (template.fork, lambda *process: spawn_process(*process).pid):
        file = tmp_path / "process.json"
        assert ended(start(command(file, "argument with spaces"), environment)) == EXIT_CODE
        assert file.with_suffix(".exited").exists(), "handlers of atexit have run"
        seen.append(json.loads(file.read_text()))
        for one in tmp_path.glob("process.*"):
            one.unlink()

    forked, new = (one["state"] for one in seen)
    assert forked == new
    assert forked["parent"] == os.getpid()
    assert forked["sockets"] == []
    assert str(custom) in forked["path"]


def test_forked_processes_have_different_random_numbers_and_stream_ids(
    template: JobTemplate, tmp_path: Path
) -> None:
    processes = [template.fork(command(tmp_path / f"{name}.json"), dict(os.environ)) for name in "ab"]
    assert [ended(process) for process in processes] == [EXIT_CODE, EXIT_CODE]
    first, second = (json.loads((tmp_path / f"{name}.json").read_text())["random"] for name in "ab")
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_every_generator_of_a_forked_process_is_seeded() -> None:
    import torch

    drawn = []
    for _ in range(2):
        np.random.seed(1)
        torch.manual_seed(1)
        seed_generators()
        drawn.append((np.random.rand(), float(torch.rand(()))))
    first, second = drawn
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_a_forked_process_is_found_by_its_command_line_and_can_be_aborted(
    template: JobTemplate, tmp_path: Path
) -> None:
    file = tmp_path / "process.json"
    process = psutil.Process(template.fork(command(file, "wait"), dict(os.environ)))
    handle = ProcessHandle(process_adapter=ProcessAdapter(pid=process.pid))
    assert process.cmdline() == command(file, "wait")
    eventually(file.exists)
    assert handle.poll() == JobReturnCode.UNKNOWN

    handle.terminate()
    handle.wait()

    assert not process.is_running()
    assert handle.poll() == JobReturnCode.EXECUTION_ERROR
    assert not file.with_suffix(".exited").exists()


def test_a_killed_template_is_replaced_and_its_job_processes_go_on(
    template: JobTemplate, tmp_path: Path
) -> None:
    job = psutil.Process(template.fork(command(tmp_path / "first.json", "wait"), dict(os.environ)))
    killed = template_process()
    killed.kill()
    eventually(lambda: not killed.is_running(), what="the parent reaped the template")

    assert ended(template.fork(command(tmp_path / "second.json"), dict(os.environ))) == EXIT_CODE

    assert template_process() != killed
    assert job.is_running()
    os.kill(job.pid, signal.SIGTERM)
    assert ended(job.pid) == -signal.SIGTERM


def test_a_changed_environment_of_the_parent_reaches_the_next_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    template = JobTemplate("client")
    assert ended(template.fork(command(tmp_path / "before.json"), dict(os.environ))) == EXIT_CODE
    with pytest.raises(NotForkedError, match="differs from the template's: OMP_NUM_THREADS"):
        template.fork(command(tmp_path / "no.json"), {**os.environ, "OMP_NUM_THREADS": "7"})
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert ended(template.fork(command(tmp_path / "after.json"), dict(os.environ))) == EXIT_CODE
    assert not (tmp_path / "no.json").exists()
    template.stop()


@pytest.mark.parametrize("program", ["/bin/false", "/missing/python"])
def test_a_parent_starts_a_limited_number_of_templates(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(forking, "MAX_STARTS", 1)
    monkeypatch.setattr(sys, "executable", program)
    template = JobTemplate("client")
    with pytest.raises(NotForkedError, match="the template"):
        template.fork([program, "-m", PROGRAM], dict(os.environ))
    template.stop()  # as if the parent had noticed its end
    with pytest.raises(NotForkedError, match="1 templates were started"):
        template.fork([program, "-m", PROGRAM], dict(os.environ))


def test_a_template_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from fl_app.launchers.forking import JobTemplate\n"
        "JobTemplate('client').fork(sys.argv[1:], dict(os.environ))\n"
        "sys.stdin.read()\n"
    )
    file = tmp_path / "process.json"
    parent = subprocess.Popen([sys.executable, "-c", code, *command(file, "wait")], stdin=subprocess.PIPE)
    eventually(file.exists, 60)
    children = psutil.Process(parent.pid).children
    eventually(lambda: len(children()) == 2, 60, "the process between template and job has ended")
    template, job = sorted(children(), key=lambda one: one.cmdline() == command(file, "wait"))

    parent.kill()
    parent.wait()

    eventually(lambda: not is_running(template), what="the template has ended")
    job.kill()


REQUEST = Request([sys.executable, "-m", PROGRAM], {"PATH": "/bin"}, "/")


def refused(environment: dict[str, str], template: dict[str, str] | None = None) -> str | None:
    request = Request(REQUEST.command, environment, REQUEST.folder)
    return refusal(request, template or {"PATH": "/bin"})


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: iter([path]) if path.name == "task" else listed(path))


@pytest.mark.usefixtures("one_thread")
def test_a_template_forks_a_job_that_differs_only_in_its_own_variables() -> None:
    assert refused({"PATH": "/bin", ENV_PUSH_TOKEN: "secret"}) is None


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "name", ["OMP_NUM_THREADS", "LD_PRELOAD", "MALLOC_ARENA_MAX", "CUDA_VISIBLE_DEVICES", "PYTHONHASHSEED"]
)
def test_a_template_does_not_fork_a_job_with_another_environment(name: str) -> None:
    assert refused({"PATH": "/bin", name: "1"}) == f"its environment differs from the template's: {name}"
    assert refused({"PATH": "/bin"}, {"PATH": "/bin", name: "1"}) is not None


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["json.py", "numpy", "sitecustomize.py", "_json.cpython-311.so"])
def test_a_template_does_not_fork_a_job_whose_modules_have_names_of_loaded_ones(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "client.py").touch()
    environment = {"PATH": "/bin", "PYTHONPATH": str(tmp_path)}
    assert refused(environment) is None
    (tmp_path / name).touch()
    reason = refused(environment)
    assert reason == (f"modules in {tmp_path} have names of loaded modules: {name.partition('.')[0]}")


@pytest.mark.usefixtures("one_thread")
def test_a_template_does_not_fork_a_job_that_lacks_its_packages() -> None:
    assert "lacks a folder" in (refused({"PATH": "/bin"}, {"PATH": "/bin", "PYTHONPATH": "/more"}) or "")


@pytest.mark.usefixtures("one_thread")
def test_a_template_that_initialized_cuda_does_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert refused({"PATH": "/bin"}) == "the template has initialized CUDA"


def test_a_template_with_a_second_thread_does_not_fork() -> None:
    stop = threading.Event()
    thread: Any = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert "threads" in (refused({"PATH": "/bin"}) or "")
    finally:
        stop.set()
        thread.join()

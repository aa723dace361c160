"""The demo: certificates, a federation, a job, a report, and a shutdown."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from deploy.demo.measurements import CompletedJob, measure
from deploy.demo.page import render_page
from deploy.demo.paths import DemoPaths, reserved_paths
from deploy.demo.report import Report
from deploy.demo.steps import OnProgress, Steps
from deploy.errors import Failed, InputError, MachineError
from deploy.project import Project, load_project
from deploy.runtimes.choice import remember
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.protocol import FederationStatus, SiteState
from deploy.signals import interruptible, uninterruptible
from deploy.workspace import Workspace
from fl_app.contract import ENV_FORK_JOBS
from fl_app.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from fl_app.jobs.hospital.job import HospitalParameters

JOB = "hospital"
UP_TIMEOUT = 60.0
JOB_TIMEOUT = 900.0


def run_demo(
    project_file: Path,
    workspace_folder: Path,
    settings: Sequence[str],
    port: int | None,
    console: Console,
) -> Report:
    """Run the demo and return its report, which is also written to workspace/PROJECT/demo.

    The federation is stopped at the end, also after an error, SIGINT, SIGTERM or SIGHUP.

    Args:
        workspace_folder: the parent of the federation's workspace.
        port: the port of the server (default: the one in project.yml).

    Raises:
        InputError: project.yml or a parameter is invalid.
        MachineError: this machine lacks something.
        Failed: the federation did not become ready, or the job did not complete.
    """
    from deploy.federation_files import make_kits_and_releases

    steps = Steps(console)
    with steps.step("check", f"{project_file} and the job's parameters"):
        parameters = _parameters(settings)
        project = load_project(project_file, needs_credentials=True)
        _check_division(project, parameters)
    home = Workspace(workspace_folder.absolute() / project.name)
    with interruptible(), reserved_paths(project, home, port) as paths:
        if paths.copy_reason:
            steps.note(f"{paths.copy_reason}. This run uses a copy: {paths.project.path}")
        with steps.step("provision", f"certificates and kits in {paths.workspace.root}"):
            make_kits_and_releases(paths.project, paths.workspace)
        job = _train(paths, parameters, _new_folder(home.demo), steps)
    with steps.step("compare", f"each of {len(project.sites)} hospitals alone, and central training"):
        report = measure(project, parameters, job)
    again = command(project_file, workspace_folder, parameters, port)
    report = report.model_copy(update={"steps": tuple(steps.done), "command": again})
    _write(report, job.folder)
    return report


def _parameters(settings: Sequence[str]) -> HospitalParameters:
    from deploy.session.parameters import find_job, read_parameters
    from fl_app.jobs.hospital.job import HospitalParameters

    job = find_job(JOB)
    if missing := job.missing():
        raise MachineError(missing)
    parameters = read_parameters(job, settings)
    assert isinstance(parameters, HospitalParameters)
    if parameters.dataset != "breast_cancer":
        raise InputError(
            f"--set dataset={parameters.dataset}: the demo supports only breast_cancer. "
            f"For other data: flarefleet submit {JOB} --set dataset={parameters.dataset}"
        )
    return parameters


def _check_division(project: Project, parameters: HospitalParameters) -> None:
    """Check that the patients can be divided among the hospitals, before the federation starts."""
    from fl_app.jobs.hospital.data import divide

    try:
        divide(len(project.sites), parameters.seed)
    except ValueError as error:
        raise InputError(f"{project.path}: participants: {error}") from error


def _train(paths: DemoPaths, parameters: HospitalParameters, folder: Path, steps: Steps) -> CompletedJob:
    """Run the job in a federation that is started and stopped for it."""
    runtime = ProcessRuntime(paths.project, paths.workspace)
    lines_before = {name: len(lines) for name, lines in _logs(paths.project, runtime)}
    with _running_federation(paths, runtime, steps) as status:
        rounds = f"{parameters.rounds} round{'s' * (parameters.rounds != 1)}"
        what = f"{rounds} of the job {JOB} on {len(paths.project.sites)} hospitals"
        try:
            with steps.step("submit", what) as on_progress:
                job_id = _submit(paths, runtime, parameters, folder, on_progress)
        finally:
            _copy_logs(runtime, lines_before, folder / "logs")
    return CompletedJob(job_id, status.server_address or "", folder)


@contextmanager
def _running_federation(
    paths: DemoPaths, runtime: ProcessRuntime, steps: Steps
) -> Iterator[FederationStatus]:
    try:
        remember(paths.workspace, runtime.name)
        port = paths.project.server.fed_learn_port
        what = f"a server on port {port} and {len(paths.project.sites)} hospitals, by mutual TLS"
        with steps.step("up", what) as on_progress:

            def show(seen: FederationStatus) -> None:
                ready = sum(site.state is SiteState.READY for site in seen.sites)
                on_progress(f"{ready} of {len(seen.sites)} ready")

            # Prepared processes for job processes take more CPU time than one job saves.
            os.environ.setdefault(ENV_FORK_JOBS, "false")
            status = runtime.up(show, UP_TIMEOUT)
        yield status
    finally:
        with uninterruptible(), steps.step("down", "all processes of the federation stopped"):
            runtime.down()
            remember(paths.workspace, None)


def _submit(
    paths: DemoPaths,
    runtime: ProcessRuntime,
    parameters: HospitalParameters,
    folder: Path,
    on_progress: OnProgress,
) -> str:
    """Submit the job, watch it until it ends, and fetch its results into `folder`; return its id."""
    from deploy.session import AdminKit, open_session
    from deploy.session.administrators import choose_administrator
    from deploy.session.failure import explain
    from deploy.session.parameters import find_job
    from deploy.session.results import fetch
    from deploy.session.session import COMPLETED
    from deploy.session.submission import choose_sites, export_process, submit
    from deploy.session.watching import watch

    job = find_job(JOB)
    kit = AdminKit.read(runtime.admin_kit(choose_administrator(paths.project, paths.workspace)))
    with (
        export_process(job) as exporting,
        temporary_folder("flarefleet-job-") as exports,
        open_session(kit) as session,
    ):
        registered = session.sites()
        job_sites = choose_sites(registered, [site.name for site in paths.project.sites], ())
        exported = exporting.export(parameters, job_sites, exports)
        job_id = submit(session, exported, registered)
        for seen in watch(session, job_id, JOB_TIMEOUT):
            if seen.progress and seen.progress.round is not None:
                on_progress(f"round {seen.progress.round} of {seen.progress.rounds}")
        if seen.job.status != COMPLETED:
            reasons = "".join(f"\n{error.site}: {error.text}" for error in explain(session, seen.job))
            raise Failed(f"the job {job_id} ended {seen.job.status}{reasons}\nIts logs: {folder / 'logs'}")
        fetch(session, job_id, folder)
    return job_id


def _copy_logs(runtime: ProcessRuntime, lines_before: dict[str, int], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in _logs(runtime.project, runtime):
        text = "".join(f"{line}\n" for line in lines[lines_before[name] :])
        (folder / f"{name}.log").write_text(text, encoding="utf-8")


def _logs(project: Project, runtime: ProcessRuntime) -> Iterator[tuple[str, list[str]]]:
    for parent in project.parents:
        yield parent.name, list(runtime.logs(parent.name))


def _new_folder(demo: Path) -> Path:
    """Create the folder of this run's results: demo/TIMESTAMP."""
    name = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    for number in range(1, 100):
        folder = demo / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{demo}: too many runs in one second; run the demo again")


def command(
    project_file: Path, workspace_folder: Path, parameters: HospitalParameters, port: int | None
) -> str:
    """Return the command that repeats this run, with all parameters, in case defaults change."""
    words = ["flarefleet", "demo", "--project", str(project_file), "--workspace", str(workspace_folder)]
    words += ["--port", str(port)] if port else []
    # A parameter that is None is not set.
    for name, value in parameters.model_dump(mode="json", exclude_none=True).items():
        words += ["--set", f"{name}={json.dumps(value) if isinstance(value, list | dict) else value}"]
    return shlex.join(words)


def _write(report: Report, folder: Path) -> None:
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(render_page(report), encoding="utf-8")
    link = folder.parent / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    link.replace(folder.parent / "latest")

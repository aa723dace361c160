"""The demo: project.yml, certificates, a federation, a job, a report, and nothing left running."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from deploy.demo.measured import Trained, measure
from deploy.demo.page import page
from deploy.demo.paths import Place, own_place
from deploy.demo.report import Report
from deploy.demo.signals import interruptible, undisturbed
from deploy.demo.steps import Say, Steps
from deploy.errors import Failed, InputError
from deploy.project import Project, load_project
from deploy.runtimes.choice import remember
from deploy.runtimes.process import ProcessRuntime
from deploy.runtimes.protocol import FederationStatus, SiteState
from deploy.workspace import Workspace

if TYPE_CHECKING:
    from fl_app.jobs.hospital.job import HospitalParameters

JOB = "hospital"
UP_SECONDS = 60.0
JOB_SECONDS = 900.0
"""After which a demo whose job has not ended is given up."""


def tell(
    project_file: Path,
    workspace_folder: Path,
    settings: Sequence[str],
    port: int | None,
    console: Console,
) -> Report:
    """Run the demo and return its report, which is also written below workspace/PROJECT/demo.

    However it ends, also by SIGINT, SIGTERM or SIGHUP, the federation is down afterwards.

    Args:
        settings: parameters of the job, NAME=VALUE.
        port: the federation's, where project.yml's is not wanted.
        console: where the steps are printed.

    Raises:
        InputError: project.yml or a parameter is wrong.
        MachineError: something is missing here.
        Failed: the federation did not become ready, or the job did not complete.
    """
    from deploy.federation_files import make_kits_and_releases

    steps = Steps(console)
    with steps.step("check", f"{project_file} and the job's parameters"):
        parameters = _parameters(settings)
        project = load_project(project_file)
        _check_division(project, parameters)
    home = Workspace(workspace_folder.absolute() / project.name)
    with interruptible(), own_place(project, home, port) as place:
        if place.why_elsewhere:
            steps.note(f"{place.why_elsewhere}: this run has its own copy, {place.project.path}")
        with steps.step("provision", f"certificates and kits in {place.workspace.root}"):
            make_kits_and_releases(place.project, place.workspace)
        trained = _train(place, parameters, settings, _new_folder(home.demo), steps)
    hospitals = f"each of {len(project.sites)} hospitals alone, and all patients in one place"
    with steps.step("compare", hospitals):
        report = measure(project, parameters, trained)
    report = report.model_copy(
        update={"steps": tuple(steps.done), "command": _command(project_file, parameters, port)}
    )
    _write(report, trained.folder)
    return report


def _parameters(settings: Sequence[str]) -> HospitalParameters:
    from deploy.session.parameters import find_job, read_parameters
    from fl_app.jobs.hospital.job import HospitalParameters

    parameters = read_parameters(find_job(JOB), settings)
    assert isinstance(parameters, HospitalParameters)
    if parameters.dataset != "breast_cancer":
        raise InputError(
            f"--set dataset={parameters.dataset}: the demo reports on tumours; "
            f"for other data: flarefleet submit {JOB} --set dataset={parameters.dataset}"
        )
    return parameters


def _check_division(project: Project, parameters: HospitalParameters) -> None:
    """Find out before anything starts that the patients cannot be divided."""
    from fl_app.jobs.hospital.data import divide

    try:
        divide(len(project.sites), parameters.seed)
    except ValueError as error:
        raise InputError(f"{project.path}: participants: {error}") from error


def _train(
    place: Place, parameters: HospitalParameters, settings: Sequence[str], folder: Path, steps: Steps
) -> Trained:
    """Train in a federation that is up only for that."""
    runtime = ProcessRuntime(place.project, place.workspace)
    written_before = {name: len(lines) for name, lines in _logs(place.project, runtime)}
    with _federation(place, runtime, steps) as status:
        rounds = f"{parameters.rounds} round{'s' * (parameters.rounds != 1)}"
        what = f"{rounds} of the job {JOB} on {len(place.project.sites)} hospitals"
        try:
            with steps.step("submit", what) as say:
                job_id = _submit(place.project, runtime, settings, folder, say)
        finally:
            _keep_logs(runtime, written_before, folder / "logs")
    return Trained(job_id, status.server_address or "", folder)


@contextmanager
def _federation(place: Place, runtime: ProcessRuntime, steps: Steps) -> Iterator[FederationStatus]:
    """The federation, up inside and down afterwards."""
    try:
        remember(place.workspace, runtime.name)
        hospitals = len(place.project.sites)
        port = place.project.server.fed_learn_port
        with steps.step("up", f"a server on port {port} and {hospitals} hospitals, by mutual TLS") as say:
            status = runtime.up(lambda seen: say(_readiness(seen)), UP_SECONDS)
        yield status
    finally:
        with undisturbed(), steps.step("down", "every process of the federation stopped"):
            runtime.down()
            remember(place.workspace, None)


def _readiness(status: FederationStatus) -> str:
    ready = sum(site.state is SiteState.READY for site in status.sites)
    return f"{ready} of {len(status.sites)} ready"


def _submit(
    project: Project, runtime: ProcessRuntime, settings: Sequence[str], folder: Path, say: Say
) -> str:
    """Submit the job, watch it to its end, and fetch its results into `folder`."""
    from deploy.session import AdminKit, open_session
    from deploy.session.failure import explain
    from deploy.session.parameters import find_job, read_parameters
    from deploy.session.results import fetch
    from deploy.session.session import COMPLETED
    from deploy.session.submission import choose_participants, exporter, submit
    from deploy.session.watching import watch

    job = find_job(JOB)
    kit = AdminKit.read(runtime.admin_kit(_admin(project)))
    with exporter(job) as making, TemporaryDirectory() as made, open_session(kit) as session:
        registered = session.sites()
        participants = choose_participants(registered, [site.name for site in project.sites], ())
        exported = making.export(read_parameters(job, settings), participants, Path(made))
        job_id = submit(session, exported, registered)
        for seen in watch(session, job_id, JOB_SECONDS):
            if seen.progress and seen.progress.round is not None:
                say(f"round {seen.progress.round} of {seen.progress.rounds}")
        if seen.job.status != COMPLETED:
            reasons = "".join(f"\n{error.site}: {error.text}" for error in explain(session, seen.job))
            raise Failed(f"the job {job_id} ended {seen.job.status}{reasons}\nThe logs: {folder / 'logs'}")
        fetch(session, job_id, folder)
    return job_id


def _admin(project: Project) -> str:
    for admin in project.admins:
        if admin.may_submit:
            return admin.name
    raise InputError(
        f"{project.path}: participants: no admin may submit jobs; add one with role project_admin"
    )


def _keep_logs(runtime: ProcessRuntime, written_before: dict[str, int], folder: Path) -> None:
    """Copy what the server and every hospital wrote to their logs in this run to the results."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in _logs(runtime.project, runtime):
        text = "".join(f"{line}\n" for line in lines[written_before[name] :])
        (folder / f"{name}.log").write_text(text, encoding="utf-8")


def _logs(project: Project, runtime: ProcessRuntime) -> Iterator[tuple[str, list[str]]]:
    for name in (project.server.name, *(site.name for site in project.sites)):
        yield name, list(runtime.logs(name))


def _new_folder(demo: Path) -> Path:
    """The folder of this run's results: demo/TIMESTAMP."""
    name = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    for number in range(1, 100):
        folder = demo / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{demo}: a hundred runs in one second")


def _command(project_file: Path, parameters: HospitalParameters, port: int | None) -> str:
    """What makes this report again, with every parameter, whatever the defaults will be by then."""
    words = ["flarefleet", "--project", str(project_file), "demo"]
    words += ["--port", str(port)] if port else []
    for name, value in parameters.model_dump(mode="json").items():
        words += ["--set", f"{name}={value}"]
    return shlex.join(words)


def _write(report: Report, folder: Path) -> None:
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(report), encoding="utf-8")
    beside = folder.parent / f".latest-{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(folder.name)
    beside.replace(folder.parent / "latest")

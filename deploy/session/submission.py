"""Puts a job together and submits it: once, however often the connection breaks on the way."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from deploy.errors import Failed, FlarefleetError, InputError, MachineError
from deploy.project.extras import setting_for
from deploy.session.session import AdminSession
from fl_app.guard.configuration import findings_in_job
from fl_app.jobs.export import ExportReply, ExportRequest
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription

if TYPE_CHECKING:
    from deploy.project import Project

IN_CONTAINERS = ("docker", "kubernetes")
"""The runtimes whose sites run from the images of project.yml."""
EXPORT_TIMEOUT = 300.0
"""Seconds in which a recipe must have put its job together."""


@dataclass(frozen=True)
class Participants:
    """The sites of a job.

    Args:
        names: who takes part.
        chosen: whether somebody chose them among more; a job that nobody chose sites for goes to the whole
            federation.
    """

    names: tuple[str, ...]
    chosen: bool


class Exporter:
    """The process that puts a job together; it is already importing while the session logs in."""

    def __init__(self, job: JobDescription, process: subprocess.Popen[str]) -> None:
        self._job = job
        self._process = process

    def export(self, parameters: JobParameters, participants: Participants, into: Path) -> ExportReply:
        """Put the job together in a folder below `into`.

        Raises:
            InputError: the recipe refuses these parameters for these sites.
            FlarefleetError: the recipe is broken; with the end of what it printed.
        """
        request = ExportRequest(
            parameters=parameters.model_dump(mode="json"),
            sites=participants.names,
            only_these=participants.chosen,
            folder=into,
        )
        try:
            answer, noise = self._process.communicate(
                request.model_dump_json() + "\n", timeout=EXPORT_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise Failed(
                f"the job {self._job.name} was not put together within {EXPORT_TIMEOUT:.0f} s"
            ) from None
        if self._process.returncode or not answer.strip():
            raise FlarefleetError(
                f"the job {self._job.name} cannot be put together:\n{noise.strip()[-2000:]}"
            )
        reply = ExportReply.model_validate_json(answer.strip().splitlines()[-1])
        if reply.user_error:
            raise InputError(reply.user_error)
        if reply.error:
            raise InputError(f"the job {self._job.name} refuses this: {reply.error}")
        refuse_what_cannot_work(reply)
        return reply


def refuse_what_cannot_work(exported: ExportReply) -> None:
    """Refuse a job whose configuration already says that it would fail in silence.

    Raises:
        InputError: each reason in a line.
    """
    assert exported.folder is not None
    findings = findings_in_job(exported.folder)
    if findings:
        raise InputError([finding.line for finding in findings])


def refuse_images_without(job: JobDescription, project: Project, runtime: str | None) -> None:
    """Refuse a job for which the images of a federation in containers lack something.

    Args:
        job: with the extras that it needs.
        project: with the extras that its images have.
        runtime: on which the federation is up; None where that is not known.

    Raises:
        InputError: with the extras to write, and what to do then.
    """
    lacking = [extra for extra in job.extras if extra not in project.image.extras]
    if runtime in IN_CONTAINERS and lacking:
        raise InputError(
            f"the job {job.name} needs images with {', '.join(lacking)}, and those of {project.path} are "
            f"without: write {setting_for(project.image.extras, lacking)} under deployment.image, and bring "
            f"the federation up again: flarefleet up --runtime {runtime}"
        )


def extras_elsewhere(project: Project, runtime: str | None) -> tuple[str, ...]:
    """The extras that the images of a federation in containers have: its jobs need them there, not here."""
    return project.image.extras if runtime in IN_CONTAINERS else ()


@contextmanager
def exporter(job: JobDescription, elsewhere: Sequence[str] = ()) -> Iterator[Exporter]:
    """Start the process that will put `job` together.

    Args:
        job: which.
        elsewhere: extras whose packages this environment need not have; see `extras_elsewhere`.

    Raises:
        MachineError: this environment lacks packages that the job needs.
    """
    missing = job.missing(elsewhere)
    if missing:
        raise MachineError(missing)
    command = [sys.executable, "-m", "fl_app.jobs.export", job.source]
    with TemporaryDirectory(prefix="flarefleet-export-") as empty:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=empty,
        )
        try:
            yield Exporter(job, process)
        finally:
            process.kill()
            process.communicate()


def choose_participants(
    registered: Sequence[str], federation: Sequence[str] | None, wanted: Sequence[str]
) -> Participants:
    """Who takes part in a job: the sites that were asked for, or else the whole federation.

    Args:
        registered: the sites that the server knows now.
        federation: the sites of project.yml; None without one: then those that are registered are all.
        wanted: the sites that the user named; none for all.

    Raises:
        InputError: a named site is not of this federation.
        Failed: a site is not registered, with its name.
    """
    everyone = tuple(federation) if federation is not None else tuple(registered)
    names = tuple(dict.fromkeys(wanted)) or everyone
    strangers = [name for name in names if name not in everyone and name not in registered]
    if strangers and federation is not None:
        raise InputError(
            f"--site {', '.join(strangers)}: not of this federation, which has {', '.join(everyone)}"
        )
    missing = [name for name in names if name not in registered]
    if missing or not names:
        there = [name for name in names if name in registered]
        raise Failed(_explain_missing(missing, len(names), there))
    return Participants(names, chosen=len(names) < len(set(everyone) | set(registered)))


def _explain_missing(missing: Sequence[str], needed: int, there: Sequence[str]) -> str:
    if not needed:
        return "no site is registered with the server. See which should be: flarefleet status"
    text = (
        f"the job needs {needed} site{'s' * (needed > 1)}, and {len(there)} of them "
        f"{'are' if len(there) != 1 else 'is'} registered; missing: {', '.join(missing)}. "
        "See what is wrong there: flarefleet status"
    )
    return f"{text}, or go without: {' '.join(f'--site {name}' for name in there)}" if there else text


def submit(session: AdminSession, exported: ExportReply, registered: Sequence[str]) -> str:
    """Submit an exported job and return its id.

    Raises:
        Failed: it needs more sites than are registered: NVFlare would keep it waiting for ever, without a
            word.
    """
    assert exported.folder is not None
    if exported.min_clients > len(registered):
        raise Failed(
            f"the job needs at least {exported.min_clients} sites, and {len(registered)} are registered: "
            f"{', '.join(registered) or 'none'}"
        )
    return session.submit(exported.folder, token=uuid.uuid4().hex)

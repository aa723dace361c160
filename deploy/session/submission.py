"""Export a job and submit it once, even if the connection is lost meanwhile."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import Failed, FlarefleetError, InputError, MachineError
from deploy.project.allowed_components import allowed_classes, is_allowed
from deploy.project.extras import setting_for
from deploy.session.session import AdminSession
from fl_app.guard.configuration import findings_in_job
from fl_app.jobs.export import ExportReply, ExportRequest
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription
from fl_app.survival.starting_over import classes_without_checkpoint, ends_with_a_process
from fl_app.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from deploy.project import Project

CONTAINER_RUNTIMES = ("docker", "kubernetes")
"""The runtimes that use the images of project.yml."""
EXPORT_TIMEOUT = 300.0
"""Seconds."""
OUTPUT_LINES = 12
"""Last lines of a script's output in the message about its error."""


@dataclass(frozen=True)
class JobSites:
    """The sites that take part in a job."""

    names: tuple[str, ...]
    chosen: bool
    """Whether they are a selection; otherwise the job goes to the whole federation."""


class ExportProcess:
    """A process that exports a job; it imports the job while the session logs in."""

    def __init__(self, job: JobDescription, process: subprocess.Popen[str]) -> None:
        self._job = job
        self._process = process

    def export(self, parameters: JobParameters, sites: JobSites, into: Path) -> ExportReply:
        """Export the job to a folder below `into`, and print the recipe's warnings on stderr.

        Raises:
            InputError: the recipe rejects these parameters for these sites.
            FlarefleetError: the recipe failed; the message contains the end of its output.
        """
        request = ExportRequest(
            parameters=parameters.model_dump(mode="json"),
            sites=sites.names,
            only_these=sites.chosen,
            folder=into,
        )
        try:
            answer, output = self._process.communicate(
                request.model_dump_json() + "\n", timeout=EXPORT_TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"the job {self._job.name} was not exported within {EXPORT_TIMEOUT:.0f} s") from None
        if self._process.returncode or not answer.strip():
            raise FlarefleetError(f"the job {self._job.name} cannot be exported:\n{output.strip()[-2000:]}")
        reply = ExportReply.model_validate_json(answer.strip().splitlines()[-1])
        if reply.user_error:
            raise InputError(self._with_output(reply.user_error, output))
        if reply.error:
            raise InputError(f"the job {self._job.name} rejects its parameters or sites: {reply.error}")
        refuse_silent_failures(reply)
        for warning in (*reply.warnings, *not_resumed(reply)):
            print(f"warning: {warning}", file=sys.stderr)
        return reply

    def _with_output(self, error: str, output: str) -> str:
        """Add the last lines that a script wrote, such as its usage."""
        lines = output.strip().splitlines()[-OUTPUT_LINES:] if self._job.is_script else []
        return "\n".join(
            [error, *(["The script's last output:"] if lines else []), *(f"  {line}" for line in lines)]
        )


def not_resumed(exported: ExportReply) -> list[str]:
    """Return a warning for each workflow that does not resume if a process of the job is killed."""
    assert exported.folder is not None
    return [_not_resumed(path) for path in classes_without_checkpoint(exported.folder)]


def _not_resumed(path: str) -> str:
    name = path.rpartition(".")[2]
    if ends_with_a_process(path):
        return (
            f"{name} saves no checkpoint: if a process of the job is killed, at the server or at a site, the "
            "job starts over from round 1 (docs/survival.md)"
        )
    return (
        f"{name} saves no checkpoint: if the server's process of the job is killed, the job starts over from "
        "round 1 (docs/survival.md)"
    )


def refuse_silent_failures(exported: ExportReply) -> None:
    """Reject a job whose configuration would make it fail without an error.

    Raises:
        InputError: lists the reasons.
    """
    assert exported.folder is not None
    findings = findings_in_job(exported.folder)
    if findings:
        raise InputError([finding.line for finding in findings])


def refuse_components_not_allowed(exported: ExportReply, project: Project) -> None:
    """Reject a job with a class that the kits do not allow: its processes would exit when they load it.

    Raises:
        InputError: lists the classes, each with its file.
    """
    allowed = allowed_classes(project)
    refused = [one for one in exported.components if not is_allowed(one.path, allowed)]
    if not refused:
        return
    names = ", ".join(dict.fromkeys(one.path for one in refused))
    raise InputError(
        [f"{one.file}: this federation does not allow {one.path} to jobs without code" for one in refused]
        + [
            f"Write allowed_components: [{names}] under deployment in {project.path}, and update the "
            "federation: flarefleet up. Allow only what cannot run code that a job brings"
        ]
    )


def refuse_missing_extras(job: JobDescription, project: Project, runtime: str | None) -> None:
    """Reject a job whose packages are missing from the images of the federation.

    Raises:
        InputError: an extra is missing from deployment.image.
    """
    missing = [extra for extra in job.extras if extra not in project.image.extras]
    if runtime in CONTAINER_RUNTIMES and missing:
        raise InputError(
            f"the job {job.name} needs images with {', '.join(missing)}, which {project.path} does not list: "
            f"write {setting_for(project.image.extras, missing)}, and update the federation: "
            f"flarefleet up --runtime {runtime}"
        )


def extras_of_images(project: Project, runtime: str | None) -> tuple[str, ...]:
    """Return the extras that the containers of the federation include, so that this machine needs none."""
    return tuple(project.image.extras) if runtime in CONTAINER_RUNTIMES else ()


@contextmanager
def export_process(job: JobDescription, image_extras: Sequence[str] = ()) -> Iterator[ExportProcess]:
    """Start a process that exports `job`. This environment does not need the `image_extras`.

    Raises:
        MachineError: this environment lacks packages that the job needs.
    """
    missing = job.missing(image_extras)
    if missing:
        raise MachineError(missing)
    command = [sys.executable, "-m", "fl_app.jobs.export", job.source]
    with temporary_folder("flarefleet-export-") as empty:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=empty,
        )
        try:
            yield ExportProcess(job, process)
        finally:
            process.kill()
            process.communicate()


def choose_sites(
    registered: Sequence[str],
    federation: Sequence[str] | None,
    wanted: Sequence[str],
    has_quorum: bool = False,
) -> JobSites:
    """Return the sites of a job: the wanted ones, or the whole federation.

    Args:
        federation: the sites of project.yml (default: the registered sites).
        wanted: the sites that the user named (default: all).
        has_quorum: whether the job may start without some of its sites.

    Raises:
        InputError: a named site is not in this federation.
        Failed: a site is not registered.
    """
    everyone = tuple(federation) if federation is not None else tuple(registered)
    names = tuple(dict.fromkeys(wanted)) or everyone
    unknown = [name for name in names if name not in everyone and name not in registered]
    if unknown and federation is not None:
        raise InputError(
            f"--site {', '.join(unknown)}: not in this federation, which has {', '.join(everyone)}"
        )
    missing = [name for name in names if name not in registered]
    if not names or (missing and not has_quorum):
        raise Failed(_missing_sites(names, registered, has_project=federation is not None))
    if missing:
        print(f"warning: not registered: {', '.join(missing)}; the job has a quorum", file=sys.stderr)
    return JobSites(names, chosen=len(names) < len(set(everyone) | set(registered)))


def _missing_sites(names: Sequence[str], registered: Sequence[str], *, has_project: bool) -> str:
    if not names:
        return "no site is registered with the server. Show the sites: flarefleet status"
    present = [name for name in names if name in registered]
    missing = ", ".join(name for name in names if name not in registered)
    text = (
        f"the job needs {len(names)} site{'s' * (len(names) > 1)}, and {len(present)} of them "
        f"{'is' if len(present) == 1 else 'are'} registered; missing: {missing}. "
    )
    if has_project:
        text += "Show the reason: flarefleet status"
    else:  # the server lists only registered sites to an administrator
        text += f"Compare the names with: flarefleet status, ask the operator of {missing}"
    return f"{text}, or submit without: {' '.join(f'--site {name}' for name in present)}" if present else text


def submit(session: AdminSession, exported: ExportReply, registered: Sequence[str]) -> str:
    """Submit an exported job and return its id.

    Raises:
        Failed: the job needs more or other sites than are registered; NVFlare would let it wait forever.
    """
    assert exported.folder is not None
    usable = participants(exported, registered)
    missing = [name for name in exported.mandatory if name not in usable]
    if missing or exported.min_clients > len(usable):
        text = f"needs {', '.join(missing)}" if missing else f"needs at least {exported.min_clients} sites"
        among = f" of its sites {', '.join(exported.sites)}" if exported.sites else ""
        raise Failed(
            f"the job {text}, and {len(usable)}{among} are registered: {', '.join(usable) or 'none'}. "
            "Show the sites: flarefleet status"
        )
    return session.submit(exported.folder, token=uuid.uuid4().hex)


def participants(exported: ExportReply, registered: Sequence[str]) -> tuple[str, ...]:
    """Return the registered sites that an exported job is deployed to."""
    return tuple(name for name in registered if not exported.sites or name in exported.sites)

"""Print the federation's jobs, and the jobs that can be submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from deploy.cli.output import err, out, print_json

if TYPE_CHECKING:
    from deploy.session import Job
    from fl_app.jobs.registry import JobDescription


def job_document(job: Job) -> dict[str, Any]:
    """Return a job as a JSON document."""
    return job.document()


def print_jobs(found: tuple[Job, ...]) -> None:
    """Print the federation's jobs, one per line; of a running job, `progress` is that of now."""
    from deploy.session.display import short_duration
    from deploy.session.job_result import result_text, rounds_text
    from deploy.session.session import SUBMITTED

    if not found:
        err.print("No job has been submitted yet. List the available jobs: flarefleet jobs --available")
        return
    rows = [("id", "job", "status", "rounds", "submitted", "duration", "by", "result")]
    for job in found:
        when = job.submitted.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        marked = f"{job.status} (!)" if job.warnings else job.status
        duration = short_duration(job.duration)
        state = (marked, rounds_text(job), when, duration, job.submitter, result_text(job))
        rows.append((job.id, job.name, *state))
    print_columns(rows)
    if any(job.warnings for job in found):
        out.print("(!) has warnings: flarefleet watch ID", markup=False)
    for job in found:
        if job.status == SUBMITTED and job.waits_for:
            out.print(f"{job.id} is waiting to start: {job.waits_for}", markup=False)
        elif job.server_waits_for:
            out.print(
                f"{job.id} is waiting for its job pod on the server: {job.server_waits_for}", markup=False
            )


def print_available(name: str | None, as_json: bool) -> None:
    """Print the jobs that can be submitted, or one of them, with their parameters and defaults.

    Raises:
        InputError: there is no such job.
    """
    from deploy.session.parameters import find_job
    from fl_app.jobs.registry import available

    found = [find_job(name)] if name else list(available())
    if as_json:
        documents = [_description_document(job) for job in found]
        print_json(documents[0] if name else documents)
        return
    for job in found:
        out.print(f"{job.name}: {job.description}", markup=False)
        if job.parameters.model_fields and not job.is_script:
            print_columns(list(_parameter_rows(job)))
    if name is None:
        out.print("Describe one of them, or a job of your own: flarefleet jobs --available JOB", markup=False)
        return
    setting = " -- --NAME VALUE" if found[0].is_script else " --set NAME=VALUE" * (found[0].file is None)
    out.print(f"Next: flarefleet submit {name}{setting}", markup=False)


def _description_document(job: JobDescription) -> dict[str, Any]:
    return {
        "name": job.name,
        "description": job.description,
        "parameters": job.parameters.model_json_schema(),
    }


def _parameter_rows(job: JobDescription) -> Iterator[tuple[str, ...]]:
    from deploy.session.parameters import default_text, describe

    yield "  PARAMETER", "DEFAULT", "TYPE", "MEANING"
    for name, field in job.parameters.model_fields.items():
        meaning = " ".join((field.description or "").split())
        yield f"  {name}", default_text(field), describe(field), meaning


def print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns without truncation, so that ids can be copied."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), markup=False)

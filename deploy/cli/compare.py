"""Command: compare."""

from __future__ import annotations

import csv
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import completion
from deploy.cli.admin_session import admin_session
from deploy.cli.context import JsonOption, context_of
from deploy.cli.job_options import AdminKitOption, AdminOption
from deploy.cli.job_tables import print_columns
from deploy.cli.output import print_json
from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.session.comparison import Row, Run

app = typer.Typer()


@app.command()
def compare(
    ctx: typer.Context,
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB",
            autocompletion=completion.job_ids,
            help="Ids, beginnings of ids, latest, or folders of fetched results.",
        ),
    ],
    *,
    differences: Annotated[
        bool, typer.Option("--differences", help="Only what is not the same in all runs.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values on stdout.")] = False,
    admin: AdminOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show parameters and metrics of several runs side by side."""
    from deploy.session.comparison import compare as compare_runs

    if as_csv and as_json:
        raise InputError("--csv and --json exclude each other")
    runs = _runs(ctx, jobs, admin, admin_kit)
    rows = [row for row in compare_runs(runs) if row.differs or not differences]
    names = [run.name for run in runs]
    if as_json:
        print_json({"runs": names, "rows": [vars(row) | {"differs": row.differs} for row in rows]})
    elif as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(["group", "name", *names])
        writer.writerows([row.group, row.name, *map(_exact, row.values)] for row in rows)
    else:
        _print(names, rows)


def _runs(ctx: typer.Context, given: list[str], admin: str | None, admin_kit: Path | None) -> list[Run]:
    """Return the runs of folders and of jobs on the server; a session is opened only for these."""
    from deploy.session.comparison import Run, read_run
    from deploy.session.job_ids import choose_job, is_job

    absent = [text for text in given if not is_job(text) and not Path(text).is_dir()]
    if absent:
        raise InputError(
            [f"{text}: is neither a folder of results nor the id of a job" for text in absent]
            + ["List the jobs: flarefleet jobs. Fetch the results of one: flarefleet fetch JOB"]
        )
    found = {text: read_run(Path(text)) for text in given if _is_folder(text)}
    if rest := [text for text in given if text not in found]:
        with admin_session(context_of(ctx), admin, admin_kit) as session:
            known = session.jobs()
            chosen = session.with_progress([choose_job(known, text) for text in rest])
        found |= {text: Run.of(job.document()) for text, job in zip(rest, chosen, strict=True)}
    return [found[text] for text in given]


def _is_folder(text: str) -> bool:
    """Return whether a text is the path of a folder, and not the beginning of an id."""
    from deploy.session.job_ids import is_job

    return not is_job(text) or ("/" in text and Path(text).is_dir())


def _print(names: list[str], rows: list[Row]) -> None:
    """Print the rows below the names of the runs; * marks what differs."""
    from deploy.session.comparison import DURATION

    lines = [("", "", *names)]
    group = ""
    for row in rows:
        if row.group not in (group, "job"):
            lines.append((row.group, *[""] * (len(names) + 1)))
        group = row.group
        mark = "*" if row.differs and row.group == "parameters" else ""
        indent = "  " * (row.group != "job")
        name, shown = ("duration", _clock) if row.name == DURATION else (f"{indent}{row.name}", _shown)
        lines.append((name, mark, *map(shown, row.values)))
    print_columns(lines)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _exact(value)


def _clock(seconds: float | None) -> str:
    """Return seconds as H:MM:SS."""
    return "" if seconds is None else str(timedelta(seconds=int(seconds)))


def _exact(value: Any) -> str:
    return "" if value is None else str(value)

"""Command: logs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from deploy.cli import completion
from deploy.cli.context import JsonOption, RuntimeOption, context_of
from deploy.cli.job_logs import names_site, show_job_logs
from deploy.cli.job_options import AdminKitOption
from deploy.errors import InputError
from deploy.runtimes.protocol import LogPart

app = typer.Typer()


@app.command()
def logs(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="SITE|JOB",
            autocompletion=completion.parents_and_job_ids,
            help="Server or site in project.yml; or a job: its id, the beginning of its id, or latest.",
        ),
    ],
    *,
    of_site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            metavar="NAME",
            autocompletion=completion.sites,
            help="Site of the job, or server; repeatable (default: all).",
        ),
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Print only the last N lines (default: all).")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS|TIME",
            help="Print only lines of the last seconds, or since a time such as 2026-11-30T19:00.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines until it stops.")] = False,
    runtime: RuntimeOption = None,
    admin_kit: AdminKitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the log of the server or of a site, or the logs of a job."""
    context = context_of(ctx)
    part = LogPart(tail, None if since is None else time_of(since))
    if not names_site(context, name):
        if since is not None:
            raise InputError(f"--since applies to the log of a server or site; {name} is a job.")
        show_job_logs(
            context,
            name,
            tuple(of_site or ()),
            follow=follow,
            tail=tail,
            admin_kit=admin_kit,
            as_json=as_json,
        )
        return
    _, _, chosen = context.federation(runtime)
    try:
        for line in chosen.logs(name, follow, part):
            typer.echo(line)
    except KeyboardInterrupt:
        if not follow:
            raise


def time_of(text: str) -> datetime:
    """Return the time that `--since` names: a number of seconds ago, or a time in ISO 8601 (default: local).

    Raises:
        InputError: it is neither.
    """
    try:
        return datetime.now(timezone.utc) - timedelta(seconds=float(text))
    except OverflowError:
        return datetime.fromtimestamp(0, timezone.utc)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except ValueError:
        raise InputError(
            f"--since {text}: must be a number of seconds, or a time such as 2026-11-30T19:00 or "
            "2026-11-30T19:00:00Z"
        ) from None

"""Commands: up, status, down, restart."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli import completion
from deploy.cli.admin_session import choose_kit
from deploy.cli.context import JsonOption, RuntimeOption, context_of
from deploy.cli.job_options import AdminKitOption
from deploy.cli.output import err, out, print_json
from deploy.cli.session_status import show_session_status
from deploy.errors import Failed, InputError, MachineError
from deploy.project.server_environment import ignored_variables
from deploy.runtimes.choice import open_runtime, remember, remembered
from deploy.runtimes.protocol import FederationStatus, KeepsVolumes, SiteState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from deploy.project import Project
    from deploy.runtimes.protocol import Runtime, StatusCallback
    from deploy.workspace import Workspace

app = typer.Typer()

COLOURS = {
    SiteState.STARTING: "yellow",
    SiteState.READY: "green",
    SiteState.NOT_READY: "red",
    SiteState.EXITED: "red",
    SiteState.CANNOT_START: "red",
    SiteState.STOPPED: "dim",
}


SitesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SITE",
        autocompletion=completion.parents,
        help="Server or sites; the others stay as they are (default: all).",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Time until all must be ready (default: 60; kubernetes: 300)."),
]


@app.command()
def up(
    ctx: typer.Context,
    sites: SitesArgument = None,
    *,
    runtime: RuntimeOption = None,
    timeout: TimeoutOption = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="GPUs for each site, instead of those in project.yml (docker)."
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option(help="Whether a server or site that died is started again (process)."),
    ] = True,
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONTEXT|SITE=CONTEXT",
            help="Kubeconfig context of the cluster, or of one site; repeatable (kubernetes).",
        ),
    ] = None,
) -> None:
    """Start the server and all sites, or some of them, and wait until they are ready."""
    project, workspace, chosen = context_of(ctx).federation(runtime, needs_credentials=True)
    if gpus is not None:
        _require_runtime(chosen, "docker", "--gpus").gpus = gpus
    if not restart:
        _require_runtime(chosen, "process", "--no-restart").restart = False
    if context:
        # The empty name stands for all sites.
        pairs = [one.rpartition("=") for one in context]
        _require_runtime(chosen, "kubernetes", "--context").contexts = {site: name for site, _, name in pairs}
    _start(project, workspace, chosen, sites or (), timeout)


@app.command()
def restart(
    ctx: typer.Context,
    sites: Annotated[
        list[str],
        typer.Argument(
            metavar="SITE",
            autocompletion=completion.parents,
            help="Server or sites; the others stay as they are.",
        ),
    ],
    runtime: RuntimeOption = None,
    timeout: TimeoutOption = None,
) -> None:
    """Stop and start the server or some sites, and wait until they are ready."""
    project, workspace, chosen = context_of(ctx).federation(runtime, needs_credentials=True)
    _check_names(project, sites)
    chosen.stop(sites)
    _start(project, workspace, chosen, sites, timeout)


def _check_names(project: Project, sites: Sequence[str]) -> None:
    for name in sites:
        project.parent(name)  # rejects an unknown name


def _start(
    project: Project,
    workspace: Workspace,
    chosen: Runtime,
    sites: Sequence[str],
    timeout: float | None,
) -> None:
    """Start these sites or all, and wait until they are ready."""
    from deploy.provision import ensure_provisioned
    from deploy.release import update_releases

    _check_names(project, sites)
    options: dict[str, Any] = {"only": sites} if sites else {}
    if timeout is not None:
        options["timeout"] = timeout
    before = remembered(workspace)
    if before not in (None, chosen.name) and open_runtime(before, project, workspace).status().is_up:
        raise InputError(f"The federation is running on {before}. Stop it first: flarefleet down")
    if ignored := ignored_variables(project, os.environ):
        err.print(
            f"warning: {', '.join(ignored)} in this shell has no effect: deployment.tracking and "
            f"deployment.guard in {project.path} set the server's variables.",
        )
    remember(workspace, chosen.name)
    try:
        ensure_provisioned(project, workspace)
        if chosen.name == "kubernetes":  # it installs the release folders
            update_releases(project, workspace)
        with _progress() as progress:
            status = chosen.up(progress, **options)
    except (InputError, MachineError):
        remember(workspace, before)  # nothing was started
        raise
    if sites:
        err.print(f"{', '.join(sites)} of {project.name}: ready.")
        return
    count = len(status.sites) - 1
    err.print(f"{project.name} is up: the server at {status.server_address} and {count} sites are ready.")


@app.command()
def status(
    ctx: typer.Context,
    runtime: RuntimeOption = None,
    admin_kit: AdminKitOption = None,
    json: JsonOption = False,
) -> None:
    """Show the state of the server and all sites. Exit code 0 if all are ready, otherwise 1."""
    if runtime is None and (kit := choose_kit(context_of(ctx), admin_kit)) is not None:
        show_session_status(context_of(ctx), kit, json)
        return
    project, _, chosen = context_of(ctx).federation(runtime)
    found = chosen.status()
    if json:
        print_json(found.model_dump(mode="json") | {"ready": found.is_ready})
    elif found.sites:
        out.print(_table(found))
    else:
        out.print(f"{project.name} is not running. Start it: flarefleet up")
    if not found.is_ready:
        raise typer.Exit(Failed.exit_code)


@app.command()
def down(
    ctx: typer.Context,
    sites: SitesArgument = None,
    runtime: RuntimeOption = None,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes",
            help="Also delete all workspaces: jobs, models and logs (docker, kubernetes).",
        ),
    ] = False,
) -> None:
    """Stop the server and all sites, or some of them.

    Their workspaces with jobs, models and logs remain.
    """
    project, workspace, chosen = context_of(ctx).federation(runtime)
    if sites:
        if volumes:
            raise InputError("--volumes deletes the workspaces of all sites; run it without SITE.")
        _check_names(project, sites)
        chosen.stop(sites)
        err.print(f"{', '.join(sites)} of {project.name}: stopped. Start: flarefleet up {' '.join(sites)}")
        return
    if volumes:
        if not isinstance(chosen, KeepsVolumes):
            raise InputError(
                f"--volumes applies to docker and kubernetes; this federation runs on {chosen.name}."
            )
        chosen.forget()
    else:
        chosen.down()
    if remembered(workspace) == chosen.name:
        remember(workspace, None)
    err.print(f"{project.name} is down.")


def _require_runtime(runtime: Runtime, name: str, option: str) -> Any:
    """Return the runtime if it is `name`; reject the option otherwise."""
    if runtime.name != name:
        raise InputError(f"{option} applies to --runtime {name}; this federation runs on {runtime.name}.")
    return runtime


@contextmanager
def _progress() -> Iterator[StatusCallback]:
    """Show the state of all sites: a live table on a terminal, otherwise one line for each change."""
    if not err.is_terminal:
        yield _status_lines()
        return
    from rich.live import Live

    with Live(console=err, refresh_per_second=8, transient=True) as live:
        yield lambda status: live.update(_table(status))


def _status_lines() -> StatusCallback:
    """Return a function that prints a line for each server or site whose state changed."""
    printed: dict[str, str] = {}

    def show(status: FederationStatus) -> None:
        for site in status.sites:
            line = f"{site.name}: {site.state.value}{f' ({site.reason})' if site.reason else ''}"
            if printed.get(site.name) != line:
                err.print(line)
            printed[site.name] = line

    return show


def _table(status: FederationStatus) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ROLE", "STATE", "WHERE", "TELEMETRY", "REASON"):
        table.add_column(heading, overflow="fold")
    for site in status.sites:
        code = "" if site.exit_code is None else f" ({site.exit_code})"
        table.add_row(
            site.name,
            site.role,
            Text(f"{site.state.value}{code}", COLOURS[site.state]),
            site.where,
            site.telemetry_url or "",
            "; ".join(filter(None, (site.reason, site.restart_note))),
        )
    return table

"""The verbs of a federation: up, status, logs, down."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from deploy.cli.context import JsonOption, context_of, err, out, print_json
from deploy.errors import Failed, InputError, MachineError
from deploy.runtimes.choice import current_runtime, open_runtime, remember, remembered
from deploy.runtimes.protocol import FederationStatus, KeepsVolumes, SiteState, SiteStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.project import Project
    from deploy.runtimes.docker.runtime import DockerRuntime
    from deploy.runtimes.kubernetes.runtime import KubernetesRuntime
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

RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        "-r",
        help="Where it runs: process, docker or kubernetes. Without it: where it was started, or process.",
    ),
]


@app.command()
def up(
    ctx: typer.Context,
    runtime: RuntimeOption = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait until all are ready: 60, or 300 in clusters, which fetch images."),
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="GPUs for each site, whatever project.yml says (docker).")
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="The cluster, as a context of the kubeconfig; or SITE=CONTEXT for a site in another "
            "(kubernetes)."
        ),
    ] = None,
) -> None:
    """Start the server and every site, and wait until all are ready. Again: start what is not running."""
    project, workspace, chosen = _open(ctx, runtime)
    if gpus is not None:
        _docker(chosen, "--gpus").gpus = gpus
    if context:
        _kubernetes(chosen, "--context").contexts = _contexts(context)
    before = remembered(workspace)
    if before not in (None, chosen.name) and _is_up(open_runtime(before, project, workspace)):
        raise InputError(f"The federation is up on {before}. Take it down first: flarefleet down")
    remember(workspace, chosen.name)
    try:
        with _progress() as progress:
            status = chosen.up(progress) if timeout is None else chosen.up(progress, timeout)
    except (InputError, MachineError):
        remember(workspace, before)  # nothing was started
        raise
    sites = len(status.sites) - 1
    err.print(f"{project.name} is up: the server at {status.server_address} and {sites} sites are ready.")


@app.command()
def status(ctx: typer.Context, runtime: RuntimeOption = None, json: JsonOption = False) -> None:
    """Show the server and every site. Exit code 0: all are ready; 1: not all, or none runs."""
    project, _, chosen = _open(ctx, runtime)
    found = chosen.status()
    if json:
        print_json(found.model_dump(mode="json") | {"ready": found.is_ready})
    elif found.sites:
        out.print(_table(found))
    else:
        out.print(f"{project.name} is not up: flarefleet up")
    if not found.is_ready:
        raise typer.Exit(Failed.exit_code)


@app.command()
def logs(
    ctx: typer.Context,
    site: Annotated[str, typer.Argument(help="The server or a site, by its name in project.yml.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on for as long as it runs.")] = False,
    runtime: RuntimeOption = None,
) -> None:
    """Show the log of the server or of a site."""
    _, _, chosen = _open(ctx, runtime)
    try:
        for line in chosen.logs(site, follow):
            typer.echo(line)
    except KeyboardInterrupt:
        if not follow:
            raise


@app.command()
def down(
    ctx: typer.Context,
    runtime: RuntimeOption = None,
    volumes: Annotated[
        bool,
        typer.Option(
            "--volumes", help="Also remove the workspaces: every job, model and log (docker, kubernetes)."
        ),
    ] = False,
) -> None:
    """Stop the server and every site. Their workspaces stay: jobs, models and logs."""
    project, workspace, chosen = _open(ctx, runtime)
    if volumes:
        if not isinstance(chosen, KeepsVolumes):
            raise InputError(
                f"--volumes is for docker and kubernetes; this federation runs on {chosen.name}."
            )
        chosen.forget()
    else:
        chosen.down()
    if remembered(workspace) == chosen.name:
        remember(workspace, None)
    err.print(f"{project.name} is down.")


def _open(ctx: typer.Context, runtime: str | None) -> tuple[Project, Workspace, Runtime]:
    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    if runtime is None:
        return project, workspace, current_runtime(project, workspace)
    return project, workspace, open_runtime(runtime, project, workspace)


def _docker(runtime: Runtime, option: str) -> DockerRuntime:
    """The runtime, which must be docker for that option to mean something."""
    from deploy.runtimes.docker.runtime import DockerRuntime

    if not isinstance(runtime, DockerRuntime):
        raise InputError(f"{option} is for --runtime docker; this federation runs on {runtime.name}.")
    return runtime


def _kubernetes(runtime: Runtime, option: str) -> KubernetesRuntime:
    """The runtime, which must be kubernetes for that option to mean something."""
    from deploy.runtimes.kubernetes.runtime import KubernetesRuntime

    if not isinstance(runtime, KubernetesRuntime):
        raise InputError(f"{option} is for --runtime kubernetes; this federation runs on {runtime.name}.")
    return runtime


def _contexts(given: list[str]) -> dict[str, str]:
    """SITE -> context; the empty name stands for all."""
    pairs = [one.rpartition("=") for one in given]
    return {site: context for site, _, context in pairs}


def _is_up(runtime: Runtime) -> bool:
    gone = (SiteState.STOPPED, SiteState.EXITED)
    return any(site.state not in gone for site in runtime.status().sites)


@contextmanager
def _progress() -> Iterator[StatusCallback]:
    """Show how each is: a table that changes for a person, a line for each change otherwise."""
    if not err.is_terminal:
        yield _Lines()
        return
    with Live(console=err, refresh_per_second=8, transient=True) as live:
        yield lambda status: live.update(_table(status))


class _Lines:
    """Prints what changed since the last time."""

    def __init__(self) -> None:
        self._seen: dict[str, SiteStatus] = {}

    def __call__(self, status: FederationStatus) -> None:
        for site in status.sites:
            before = self._seen.get(site.name)
            if before is None or (before.state, before.reason) != (site.state, site.reason):
                err.print(
                    f"{site.name}: {site.state.value}{f' ({site.reason})' if site.reason else ''}",
                    markup=False,
                )
            self._seen[site.name] = site


def _table(status: FederationStatus) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "ROLE", "STATE", "WHERE", "TELEMETRY", "REASON"):
        table.add_column(heading, overflow="fold")
    for site in status.sites:
        code = "" if site.exit_code is None else f" ({site.exit_code})"
        table.add_row(
            site.name,
            site.role,
            f"[{COLOURS[site.state]}]{site.state.value}{code}[/]",
            site.where,
            site.telemetry_url or "",
            site.reason.replace("[", r"\["),
        )
    return table

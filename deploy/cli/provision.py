"""Verbs: provision."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import JsonOption, context_of, err, out, print_json

if TYPE_CHECKING:
    from deploy.provision import Progress, ProvisionReport

app = typer.Typer()

SHOWN = 10
"""Names of a kind that are printed before "and N more"."""


@app.command()
def provision(
    ctx: typer.Context,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Renew certificates that end within 30 days; with the authority's, every kit.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make or update certificates, startup kits and release files; only what project.yml changed."""
    from deploy import provision as provisioning

    context = context_of(ctx)
    with _without_collection(), _progress() as progress:
        project = context.project()
        report = provisioning.provision(project, context.workspace(project), renew=renew, progress=progress)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        for line in _lines(report):
            out.print(line, markup=False)


def _lines(report: ProvisionReport) -> Iterator[str]:
    yield from _some(f"made      {name}" for name in report.created)
    yield from _some(f"renewed   {one.name}: {one.reason}" for one in report.renewed)
    for gone in report.removed:
        yield f"removed   {gone.name}: its kit is now in {gone.kit}" + (
            f"; NVFlare cannot revoke: the server accepts its certificate until {gone.valid_until:%Y-%m-%d}"
            if gone.valid_until
            else ""
        )
    yield from _some(
        f"{'EXPIRED  ' if one.is_expired else 'expiring '} {one.name}: {one.date:%Y-%m-%d}"
        for one in report.expiring
    )
    if report.expiring:
        yield from _what_renewing_means(report)
    yield (
        f"{report.project}: {len(report.created)} made, {len(report.renewed)} renewed, "
        f"{len(report.removed)} removed, {report.unchanged} unchanged, in {report.workspace}"
    )


def _what_renewing_means(report: ProvisionReport) -> Iterator[str]:
    from deploy.provision import AUTHORITY

    yield "Renew: flarefleet provision --renew"
    if any(one.name == AUTHORITY for one in report.expiring):
        yield (
            "The certificate authority itself ends: renewing makes a new one, and no kit of the old one "
            "works with it. Hand out every kit anew, at one time. How long an authority lasts is "
            "CertBuilder's root_valid_days in project.yml."
        )


def _some(lines: Iterator[str]) -> Iterator[str]:
    listed = list(lines)
    yield from listed[:SHOWN]
    if len(listed) > SHOWN:
        yield f"          and {len(listed) - SHOWN} more"


@contextmanager
def _without_collection() -> Iterator[None]:
    """Nothing here is garbage before the end, and looking for it would be a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor at the end, when all of it goes at once
        gc.enable()


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr where there is somebody to see it; a line of text where there is not."""
    if not err.is_terminal:
        yield lambda what, _done, of: None if of else err.print(what, markup=False)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=err, transient=True) as bars:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, of: int) -> None:
            if not of:
                bars.console.print(what, markup=False)
                return
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield show

"""Command: provision."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import JsonOption, context_of
from deploy.cli.output import err, out, print_json

if TYPE_CHECKING:
    from deploy.provision import ProvisionPreview, ProvisionProgress, ProvisionReport

app = typer.Typer()

MAX_LINES = 10
"""Lines of a kind that are printed before "and N more"."""


@app.command()
def provision(
    ctx: typer.Context,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Renew certificates that expire within 30 days; a new authority rebuilds every kit. Replace "
            "the key of homomorphic encryption if it is lost or HEBuilder's arguments have changed.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would change, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Create certificates, startup kits and release folders, or update those that project.yml changed."""
    from deploy.federation_files import make_kits_and_releases, preview_kits_and_releases

    context = context_of(ctx)
    if dry_run:
        project = context.project(needs_credentials=True)
        preview = preview_kits_and_releases(project, context.workspace(project), renew=renew)
        if as_json:
            print_json(preview.model_dump(mode="json"))
            return
        for line in _preview_lines(preview):
            out.print(line)
        return
    with _garbage_collection_disabled(), _progress() as progress:
        project = context.project(needs_credentials=True)
        report = make_kits_and_releases(project, context.workspace(project), renew=renew, progress=progress)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        for line in _lines(report):
            out.print(line)
    _warn_of_pushed_images(report.workspace)


def _warn_of_pushed_images(folder: Path) -> None:
    """Name the images in the registry that hold an earlier kit. Release folders do not name their digests."""
    from deploy.images.digests import outdated_pushes
    from deploy.workspace import Workspace

    if outdated := outdated_pushes(Workspace(folder)):
        for line in _some(f"{name}: the image in the registry holds an earlier kit" for name in outdated):
            err.print(line, markup=False)
        err.print("Build and push: flarefleet images build, then flarefleet images push", markup=False)


def _lines(report: ProvisionReport) -> Iterator[str]:
    yield from _some(f"created   {name}" for name in report.created)
    yield from _some(f"renewed   {one.name}: {one.reason}" for one in report.renewed)
    for gone in report.removed:
        yield f"removed   {gone.name}: its kit is now in {gone.kit}" + (
            "; NVFlare has no revocation: the server accepts its certificate until "
            f"{gone.valid_until:%Y-%m-%d}"
            if gone.valid_until
            else ""
        )
    yield from _expiry_lines(report)
    yield (
        f"{report.project}: {len(report.created)} created, {len(report.renewed)} renewed, "
        f"{len(report.removed)} removed, {report.unchanged} unchanged, in {report.workspace}"
    )


def _preview_lines(preview: ProvisionPreview) -> Iterator[str]:
    yield from _some(f"create    {name}" for name in preview.created)
    yield from _some(f"renew     {one.name}: {one.reason}" for one in preview.renewed)
    yield from _some(
        f"remove    {gone.name}: its kit and release folder move to {gone.kit.parents[1] / 'removed'}"
        for gone in preview.removed
    )
    yield from _some(f"release   {one.name}: {', '.join(one.files)}" for one in preview.releases)
    yield from _expiry_lines(preview)
    yield (
        f"{preview.project}: {len(preview.created)} to create, {len(preview.renewed)} to renew, "
        f"{len(preview.removed)} to remove, {preview.unchanged} unchanged, {len(preview.releases)} release "
        f"folders to update, in {preview.workspace}. Nothing was written."
    )


def _expiry_lines(report: ProvisionReport) -> Iterator[str]:
    from deploy.provision import AUTHORITY

    yield from _some(
        f"{'EXPIRED  ' if one.is_expired else 'expiring '} {one.name}: {one.date:%Y-%m-%d}"
        for one in report.expiring
    )
    if report.expiring:
        yield "Renew: flarefleet provision --renew"
    if any(one.name == AUTHORITY for one in report.expiring):
        yield (
            "The certificate authority expires. Renewal creates a new one, and old kits stop working: "
            "replace every kit at the same time. The argument root_valid_days of CertBuilder in project.yml "
            "sets the lifetime of an authority."
        )


def _some(lines: Iterator[str]) -> Iterator[str]:
    listed = list(lines)
    yield from listed[:MAX_LINES]
    if len(listed) > MAX_LINES:
        yield f"          and {len(listed) - MAX_LINES} more"


@contextmanager
def _garbage_collection_disabled() -> Iterator[None]:
    """Disable garbage collection, which would take a tenth of the time and find nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # skip the collection at exit, too
        gc.enable()


@contextmanager
def _progress() -> Iterator[ProvisionProgress]:
    """Show progress bars in a terminal, and otherwise only messages."""
    if not err.is_terminal:
        yield lambda what, _done, of: None if of else err.print(what)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=err, transient=True) as bars:
        tasks: dict[str, int] = {}

        def show(what: str, done: int, of: int) -> None:
            if not of:
                bars.console.print(what)
                return
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done)  # type: ignore[arg-type]

        yield show

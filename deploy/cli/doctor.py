"""Command: doctor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.checkout import IS_CHECKOUT
from deploy.cli.context import JsonOption, context_of
from deploy.cli.handed_out import KitOption, ReleaseOption, release_or_kit
from deploy.cli.output import out, print_json
from deploy.errors import Failed, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deploy.cli.context import Context
    from deploy.doctor.examination import Group, Result

app = typer.Typer()

STYLES = {"ok": "green", "warning": "yellow", "error": "red", "skipped": "dim"}


@app.command()
def doctor(
    ctx: typer.Context,
    release: ReleaseOption = None,
    admin_kit: KitOption = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            "-r",
            metavar="process|docker|kubernetes",
            help="Require this runtime (default: the one that the federation runs on, or any).",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check what would fail, before it fails. Exit code 1 if there are errors."""
    from deploy.doctor.examination import Status, examine

    results = []
    category = ""
    for result in examine(_groups(context_of(ctx), release, admin_kit, runtime)):
        results.append(result)
        if not as_json:
            if result.category != category:
                category = result.category
                out.print(category.value, style="bold")
            _print(result)
    errors = sum(result.status is Status.ERROR for result in results)
    if as_json:
        print_json({"ok": not errors, "checks": [result.model_dump(mode="json") for result in results]})
    else:
        counts = {status: sum(one.status is status for one in results) for status in Status}
        out.print(", ".join(f"{count} {status.value}" for status, count in counts.items() if count))
    if errors:
        raise typer.Exit(Failed.exit_code)


def _groups(
    context: Context, release: Path | None, admin_kit: Path | None, runtime: str | None
) -> Iterable[Group]:
    from deploy.doctor.handed_out import admin_groups, site_groups
    from deploy.doctor.operator import Operator, groups
    from deploy.runtimes.choice import BACKENDS
    from deploy.session.kit import kit_folder

    if runtime is not None and runtime not in BACKENDS:
        raise InputError(f"There is no runtime {runtime}; available: {', '.join(BACKENDS)}.")
    release, admin_kit = release_or_kit(context, release, admin_kit)
    if admin_kit is not None:
        return admin_groups(kit_folder(admin_kit) or admin_kit)
    if release is not None:
        return site_groups(release)
    return groups(Operator(context.project_file, context.workspace_folder.absolute(), runtime))


def _print(result: Result) -> None:
    lines = result.detail.splitlines() or [result.description]
    out.print(f"  {result.status.value:<8}", style=STYLES[result.status.value], end="")
    out.print(f" {result.name:<22} {lines[0]}", markup=False)
    if result.status.value in ("warning", "error"):
        page = result.documentation
        if not IS_CHECKOUT:
            page = f"{page.removeprefix('docs/')} in the documentation of Flarefleet"
        for line in (*lines[1:], f"see {page}"):
            out.print(f"{'':<33} {line}", markup=False)

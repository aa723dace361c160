"""Command: bundle."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.context import Context, JsonOption, context_of
from deploy.cli.handed_out import KitOption, ReleaseOption, release_or_kit
from deploy.cli.output import err, out, print_json
from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.bundle.archive import Bundle

app = typer.Typer()


@app.command()
def bundle(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Archive to write (default: named by the time)."),
    ] = None,
    release: ReleaseOption = None,
    admin_kit: KitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a support archive: versions, states, logs, jobs and checks, without any secret."""
    context = context_of(ctx)
    release, admin_kit = release_or_kit(context, release, admin_kit)
    now = datetime.now(timezone.utc)
    file = output or Path(f"flarefleet-bundle-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    if file.exists():
        raise InputError(f"{file} exists. Choose another name: --output FILE")
    made = _collect(context, release, admin_kit)
    made.write(file, now.isoformat(timespec="seconds"))
    sizes = {name: len(text.encode()) for name, text in made.files.items()}
    if as_json:
        print_json({"file": file, "files": sizes, "problems": made.problems})
        return
    for name, size in sizes.items():
        out.print(f"  {size:>9} bytes  {name}", markup=False)
    for problem in made.problems:
        err.print(f"not included: {problem}", markup=False, style="yellow")
    out.print(f"{file}: {len(sizes)} files. Secrets are redacted; read it before you send it.", markup=False)


def _collect(context: Context, release: Path | None, admin_kit: Path | None) -> Bundle:
    if release is not None:
        from deploy.bundle.site import collect_site

        return collect_site(release)
    if admin_kit is not None:
        from deploy.bundle.admin import collect_admin

        return collect_admin(admin_kit)
    from deploy.bundle.federation import collect_federation
    from deploy.doctor.operator import Operator

    return collect_federation(Operator(context.project_file, context.workspace_folder.absolute()))

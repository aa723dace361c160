"""Commands: images build, list, push, save, load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from deploy.cli import completion
from deploy.cli.context import JsonOption, context_of
from deploy.cli.output import err, out, print_json

if TYPE_CHECKING:
    from deploy.images.buildkit import BuildStep
    from deploy.images.inventory import ImageRecord

app = typer.Typer()
images = typer.Typer(no_args_is_help=True, help="Build and transport the images of the federation.")
app.add_typer(images, name="images")

LOAD = """\
On a host with Docker:               docker load --input {file}
On each Kubernetes node, no Docker:  sudo ctr -n k8s.io images import {file}
On each k3s node:                    sudo k3s ctr images import {file}"""
"""How to load an archive where it is needed."""
BUILD_ELSEWHERE = (
    "Images can be built on any machine with Docker and this project.yml and workspace: there, run "
    "`flarefleet images build`, then `flarefleet images push`, or `flarefleet images save FILE` and, on the "
    "machine that needs them, `flarefleet images load FILE`."
)
MIN_STEP_SECONDS = 0.5
"""Faster and cached steps of a build are not printed."""

SiteOption = Annotated[
    str | None,
    typer.Option(
        "--site",
        metavar="NAME",
        autocompletion=completion.parents,
        help="Only the images that the server or this site needs.",
    ),
]


@images.command()
def build(
    ctx: typer.Context,
    *,
    site: SiteOption = None,
    base_image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="Debian 12 image to build on.")
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder with torch's wheels (default: download them).", file_okay=False
        ),
    ] = None,
    index_url: Annotated[str | None, typer.Option(metavar="URL", help="Python index for the build.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the runtime image once, then a thin image for the server and each site."""
    from deploy.docker_engine import connect
    from deploy.images.build import BuildOptions, build_images
    from deploy.release.images import list_images

    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    client = connect(BUILD_ELSEWHERE)
    chosen = BuildOptions(base_image=base_image, wheels=wheels, index_url=index_url, cached=not no_cache)
    with _steps() as tell:
        built = build_images(client, project, workspace, site=site, options=chosen, progress=tell)
    records = [one for one in list_images(client, project, workspace) if one.name in built]
    _print_records(records, as_json)


@images.command(name="list")
def list_(ctx: typer.Context, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """List the images that values.yaml and compose.yaml name, and whether this engine has them."""
    from deploy.docker_engine import connect
    from deploy.errors import MachineError
    from deploy.release.images import list_images

    context = context_of(ctx)
    project = context.project()
    try:
        client = connect()
    except MachineError as error:  # the names of the images are known anyway
        err.print(f"Built images are unknown: {error}", style="yellow", markup=False)
        client = None
    _print_records(list_images(client, project, context.workspace(project), site), as_json)


@images.command()
def push(ctx: typer.Context, site: SiteOption = None, as_json: JsonOption = False) -> None:
    """Push the images to the registry of project.yml, with the credentials of `docker login`.

    The release folders then name the images by their digests.
    """
    from deploy.docker_engine import connect
    from deploy.images.build import source_date_epoch
    from deploy.images.digests import record_digests, refuse_outdated
    from deploy.images.push import push_images
    from deploy.release import update_releases
    from deploy.release.images import list_images

    context = context_of(ctx)
    project = context.project()
    workspace = context.workspace(project)
    client = connect()
    records = list_images(client, project, workspace, site)
    refuse_outdated(workspace, records, source_date_epoch())
    with _bytes() as tell:
        digests = push_images(client, project, records, tell)
    if as_json:
        print_json(digests)
    else:
        for name, digest in digests.items():
            out.print(f"{name}  {digest}", markup=False)
    record_digests(workspace, digests, records)
    if updated := update_releases(project, workspace):
        err.print(f"updated release folders: {', '.join(updated)}", markup=False)


@images.command()
def save(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Archive to write, for example site-1.tar.")],
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the images to one archive with checksums. `docker load` accepts it as well."""
    from deploy.docker_engine import connect
    from deploy.images.archive import save_images
    from deploy.release.images import list_images

    context = context_of(ctx)
    project = context.project()
    client = connect()
    records = list_images(client, project, context.workspace(project), site)
    with _bytes() as tell:
        save_images(client, records, file, tell)
    if as_json:
        print_json(
            {"file": str(file), "size": file.stat().st_size, "images": [record.name for record in records]}
        )
        return
    _print_records(records, as_json=False)
    out.print(f"{file}  {_size(file.stat().st_size)}", markup=False)
    err.print(LOAD.format(file=file), markup=False)


@images.command()
def load(
    file: Annotated[Path, typer.Argument(help="Archive of `images save`.", exists=True, dir_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Check an archive of images and load it. This needs no project.yml."""
    from deploy.docker_engine import connect
    from deploy.images.archive import load_images

    client = connect()
    with _bytes() as tell:
        names = load_images(client, file, tell)
    if as_json:
        print_json({"file": str(file), "images": names})
        return
    for name in names:
        out.print(name, markup=False)


def _print_records(records: list[ImageRecord], as_json: bool) -> None:
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    width = max(len(record.name) for record in records)
    for record in records:
        size = _size(record.size) if record.size is not None else "not built"
        identity, runtimes = (record.id or "")[7:19], ", ".join(record.runtimes)
        out.print(f"{record.name:<{width}}  {size:>10}  {identity:<12}  {runtimes}", markup=False)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def _steps() -> Iterator[Callable[[BuildStep], None]]:
    """Print a line for each slow step of a build, and show the current step in a terminal."""
    with err.status("") as status:

        def tell(step: BuildStep) -> None:
            where = f"{step.image}: {step.title}"
            if step.state == "started":
                status.update(Text(where))
            elif step.seconds >= MIN_STEP_SECONDS:
                err.print(f"{where}: {step.seconds:.1f} s", markup=False)

        yield tell


@contextmanager
def _bytes() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress bars in bytes in a terminal, and otherwise print each step once."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=None)
                if not err.is_terminal:
                    err.print(what, markup=False)
            bars.update(tasks[what], completed=done, total=of or None)

        yield tell

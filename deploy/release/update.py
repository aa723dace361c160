"""release/NAME: what the operator of a site is handed, brought up to date where kit or settings changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from deploy.project import Project
from deploy.provision.files import SECRET_FOLDER, exchange, write_secret
from deploy.provision.plan import KEY_SUFFIX
from deploy.provision.state import MadeKit, digest_of
from deploy.workspace import Workspace

RELEASED = "released.json"
"""In the state: what each release was made from."""
HANDED_OUT = ("startup", "local")
"""The folders of a kit that are handed out."""
KIT, KEY = "kit", "key"


def bring_up_to_date(
    project: Project, workspace: Workspace, kits: dict[str, MadeKit], new: Collection[str], staging: Path
) -> None:
    """Lay out kit and key, and let `deploy.release` write the rest, for each site of which something changed.

    Args:
        kits: every kit as it was made.
        new: whose kit was made just now.
    """
    names = [parent.name for parent in project.parents]
    known = _read(workspace)
    common = _common(project)
    found = {name: _signature(workspace, name, kits[name], common) for name in names}
    changed = [name for name in names if name in new or known.get(name) != found[name]]
    if changed:
        from deploy.release import write_release

        workspace.release.mkdir(mode=SECRET_FOLDER, exist_ok=True)
        for name in changed:
            _lay_out(workspace, name, staging)
        write_release(project, workspace, changed)
        found |= {name: _signature(workspace, name, kits[name], common) for name in changed}
    if found != known:
        write_secret(workspace.state / RELEASED, json.dumps(found).encode())


def _read(workspace: Workspace) -> dict[str, str]:
    try:
        content = json.loads((workspace.state / RELEASED).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _lay_out(workspace: Workspace, name: str, staging: Path) -> None:
    """The kit without its key, and the key: hard links, so that no key has a second copy."""
    kit, new = f"{workspace.kits}/{name}", staging / "release" / name
    (new / KEY).mkdir(parents=True, mode=SECRET_FOLDER)
    for top in HANDED_OUT:
        for where, _, names in os.walk(f"{kit}/{top}"):
            place = f"{new}/{KIT}/{where[len(kit) + 1 :]}"
            os.makedirs(place)  # noqa: PTH103 - as all of this: pathlib takes as long as the disk
            for file in names:
                _link(f"{where}/{file}", f"{new / KEY if file.endswith(KEY_SUFFIX) else place}/{file}")
    folder = workspace.release / name
    folder.mkdir(mode=SECRET_FOLDER, exist_ok=True)
    for part in (KIT, KEY):
        exchange(new / part, folder / part)


def _link(file: str, target: str) -> None:
    try:
        os.link(file, target)
    except PermissionError:  # a file system without hard links
        shutil.copy2(file, target)


def _common(project: Project) -> str:
    """What every release is made from, besides its kit and its own part of the deployment."""
    server = project.server
    return (
        f"{project.image} {server.deployment.namespace} {project.server_host} {_program()} "
        f"{project.tracking} {project.guard}"
    )


@cache
def _program() -> str:
    """The fingerprint of what writes releases."""
    folder = Path(__file__).parent.parent / "release"
    files = sorted(file for file in folder.rglob("*") if file.suffix in (".py", ".j2"))
    return digest_of(b"".join(file.read_bytes() for file in files))[:16]


def _signature(workspace: Workspace, name: str, kit: MadeKit, common: str) -> str:
    """What a release is made from, and what lies there; the plan has looked at the kit's files."""
    place, folder = f"{workspace.kits}/{name}", f"{workspace.release}/{name}"
    written = [entry for entry in _entries(folder) if not entry.is_dir()]
    seen = [
        *(_seen(path) for path in _added(place, kit)),
        # A folder's time changes with each file that comes or goes; the files in these are the kit's own.
        *(_seen(f"{folder}/{KIT}/{top}") for top in HANDED_OUT),
        _seen(f"{folder}/{KEY}"),
        *(_seen(entry.path) for entry in sorted(written, key=lambda entry: entry.name)),
    ]
    return digest_of(f"{common} {kit.parts} {kit.certificate} {seen}".encode())[:32]


def _added(place: str, kit: MadeKit) -> Iterator[str]:
    """What somebody put into a kit."""
    for top in HANDED_OUT:
        folder = f"{place}/{top}"
        for name in sorted(entry.name for entry in os.scandir(folder)):
            if f"{top}/{name}" not in kit.files:
                yield f"{folder}/{name}"
                for where, _, names in os.walk(f"{folder}/{name}"):
                    yield from (f"{where}/{inside}" for inside in sorted(names))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []


def _seen(path: str) -> tuple[str | int, ...]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return (path,)
    return path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode

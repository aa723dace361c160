"""Bring the release folders up to date with the kits and project.yml."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from deploy.charts import chart_sources
from deploy.errors import InputError
from deploy.images.digests import added_files, read_digests
from deploy.images.names import runtime_image, site_image
from deploy.project import Project
from deploy.provision import KitRecord, read_kits
from deploy.release.participant import CHARTS, participants_of
from deploy.secret_files import has_secret_name
from deploy.workspace import KIT_FOLDERS, Workspace
from deploy.workspace_files import (
    link_or_copy,
    locked,
    move_to_removed,
    os_errors_explained,
    replace_folder,
    staging,
)
from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER, write_atomically

RELEASED = "released.json"
"""File in the state folder: a digest of what each release folder was made from, and of what it holds."""
KIT, KEY = "kit", "key"
SOURCES = (
    "charts",
    "release",
    "hosts.py",
    "images/names.py",
    "project/object_names.py",
    "project/quantities.py",
    "project/server_environment.py",
    "secret_files.py",
    "../fl_app/contract.py",
)
"""The code and templates that decide the content of a release folder, relative to this package's parent."""


def update_releases(project: Project, workspace: Workspace) -> list[str]:
    """Update the release folder of each participant for which kit, settings, chart or templates changed.

    Files that the operator added to a release folder are kept. The whole folder of a removed participant is
    moved to `removed`.

    Returns:
        The participants whose release folder was updated: the server, sites and administrators.

    Raises:
        InputError: a kit is missing, or its public part holds a private key.
        MachineError: the workspace cannot be written or is locked by another process.
    """
    names = [one.name for one in (*project.parents, *project.admins)]
    with os_errors_explained(workspace), locked(workspace):
        kits = read_kits(workspace.state)
        if missing := [name for name in names if name not in kits]:
            raise InputError(f"{workspace.kit(missing[0])}: the kit is missing. Run: flarefleet provision")
        known = _read_digests(workspace)
        digests = _digests(project, workspace, names)
        changed = [name for name in names if known.get(name) != digests[name]]
        if changed:
            _write(project, workspace, changed)
            digests |= _digests(project, workspace, changed)
        for folder in _entries(f"{workspace.release}"):
            # Folders of the operator stay.
            if folder.name not in names and Path(folder, KIT).is_dir():
                move_to_removed(workspace, Path(folder), f"{folder.name}-release")
        if digests != known:
            write_atomically(workspace.state / RELEASED, json.dumps(digests).encode(), PRIVATE_FILE)
    return changed


def outdated_releases(project: Project, workspace: Workspace, names: Iterable[str]) -> list[str]:
    """Return which of these participants, whose kits are up to date, have an outdated release folder."""
    known = _read_digests(workspace)
    digests = _digests(project, workspace, names)
    return [name for name, digest in digests.items() if known.get(name) != digest]


def _digests(project: Project, workspace: Workspace, names: Iterable[str]) -> dict[str, str]:
    kits, settings = read_kits(workspace.state), _settings_of(project, workspace)
    return {name: _digest(workspace, name, kits[name], settings[name]) for name in names}


def _settings_of(project: Project, workspace: Workspace) -> dict[str, str]:
    """Return what each release depends on, in addition to its kit and its own part of the deployment."""
    pushed = read_digests(workspace)
    server = project.server.deployment.namespace, project.server_host
    common = f"{(project.image, *server, project.tracking, project.guard)} {_sources_digest()}"
    runtime = pushed.get(runtime_image(project.image))
    parents = {
        parent.name: f"{common} {runtime} {pushed.get(site_image(project, parent.name))}"
        for parent in project.parents
    }
    for_admins = f"{(project.server_host, project.server.admin_port)} {_sources_digest()}"
    return parents | {admin.name: for_admins for admin in project.admins}


def _write(project: Project, workspace: Workspace, names: list[str]) -> None:
    from deploy.release.write import admin_texts, file_texts, write_charts, write_files

    participants = participants_of(project, workspace)
    admins = {admin.name: admin for admin in project.admins}
    workspace.release.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    with staging(workspace) as folder:
        packages = write_charts(folder, {participants[name].chart for name in names if name in participants})
        for name in names:
            release = workspace.release / name
            if name in admins:
                texts = admin_texts(project, admins[name])
                _install_kit(workspace, name, folder, keys=KIT)
                write_files(texts, release, folder)
                continue
            texts = file_texts(participants[name])
            _install_kit(workspace, name, folder, keys=KEY)
            write_files(texts, release, folder, packages[participants[name].chart])


def _install_kit(workspace: Workspace, name: str, folder: Path, *, keys: str) -> None:
    """Link the public files of a kit into kit/, and copy its keys into the folder `keys`.

    A key is a file of its own, so that its operator can change its owner and mode in place. The keys of an
    administrator stay in the kit, which is complete then: `keys` is kit.
    """
    kit, new, release = f"{workspace.kits}/{name}", folder / "release" / name, workspace.release / name
    (new / keys).mkdir(parents=True, mode=PRIVATE_FOLDER)
    for top in KIT_FOLDERS:
        for where, _, names in os.walk(f"{kit}/{top}"):
            public = f"{new}/{KIT}/{where[len(kit) + 1 :]}"
            os.makedirs(public)  # noqa: PTH103 - pathlib would double the time here
            for file in names:
                if has_secret_name(Path(file)):
                    key = shutil.copy2(f"{where}/{file}", f"{public if keys == KIT else new / KEY}/{file}")
                    os.chmod(key, PRIVATE_FILE)  # noqa: PTH101
                else:
                    link_or_copy(f"{where}/{file}", f"{public}/{file}")
    release.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    for part in dict.fromkeys((KIT, keys)):
        replace_folder(new / part, release / part)


def _read_digests(workspace: Workspace) -> dict[str, str]:
    try:
        content = json.loads((workspace.state / RELEASED).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def release_sources() -> list[Path]:
    """Return the code, templates and charts that decide the content of a release folder."""
    package = Path(__file__).parents[1]
    files = (file for source in SOURCES for file in (package / source, *(package / source).rglob("*")))
    charts = (file for chart in CHARTS for file in chart_sources(chart))
    return [*sorted(file for file in files if file.suffix in (".py", ".j2")), *charts]


@cache
def _sources_digest() -> str:
    return sha256(b"".join(file.read_bytes() for file in release_sources())).hexdigest()[:16]


def _digest(workspace: Workspace, name: str, kit: KitRecord, settings: str) -> str:
    """Return a digest of what a release is made from and of the metadata of its files, without reading them.

    `provision` has compared the files of the kit with their record.
    """
    source, release = f"{workspace.kits}/{name}", f"{workspace.release}/{name}"
    written = [entry for entry in _entries(release) if not entry.is_dir()] + _entries(f"{release}/{KEY}")
    metadata = [
        _metadata(source),  # another folder if the kit was built again
        *(_metadata(path) for path in added_files(source, kit)),
        # A folder's time changes when a file is added or removed. The files are links to those of the kit.
        *(_metadata(f"{release}/{KIT}/{top}") for top in KIT_FOLDERS),
        *(_metadata(path) for path in sorted([f"{release}/{KEY}", *(entry.path for entry in written)])),
    ]
    return sha256(f"{settings} {kit.parts} {kit.certificate} {metadata}".encode()).hexdigest()[:32]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except FileNotFoundError:
        return []


def _metadata(path: str) -> tuple[str | int, ...]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return (path,)
    return path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode

"""The digests of pushed images, state/pushed.json. Release folders name such an image by its digest.

The image of a site holds its kit: its digest counts only while the kit is the one that was pushed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.errors import Failed
from deploy.images.kit_layer import kit_layer
from deploy.provision import KitRecord, read_kits
from deploy.secret_files import has_secret_name
from deploy.workspace import KIT_FOLDERS, Workspace
from deploy.workspace_files import locked, make_private, os_errors_explained
from fl_app.files import PRIVATE_FILE, write_atomically

if TYPE_CHECKING:
    from deploy.images.inventory import ImageRecord

PUSHED = "pushed.json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_digests(workspace: Workspace) -> dict[str, str]:
    """Return the digest of each pushed image by its name with tag.

    A name with another tag has none, and neither has the image of a site whose kit changed after the push.
    """
    kits = _Kits(workspace)
    return {name: entry["digest"] for name, entry in _entries(workspace) if kits.are_in(entry)}


def outdated_pushes(workspace: Workspace) -> list[str]:
    """Return the names of the pushed images whose site has another kit now."""
    kits = _Kits(workspace)
    return [name for name, entry in _entries(workspace) if not kits.are_in(entry)]


def record_digests(
    workspace: Workspace, digests: Mapping[str, str], images: Sequence[ImageRecord] = ()
) -> None:
    """Add the digests of pushed images to those of earlier pushes.

    Args:
        images: the records of these images, see `refuse_outdated`.

    Raises:
        MachineError: the workspace cannot be written or is locked by another process.
    """
    kits = _Kits(workspace)
    sites = {image.name: image.site for image in images if image.site}
    with os_errors_explained(workspace), locked(workspace):
        make_private(workspace.state)
        content = dict(_entries(workspace))
        for name, digest in digests.items():
            site = sites.get(name)
            content[name] = {"digest": digest} | ({"site": site, "kit": kits.digest(site)} if site else {})
        write_atomically(workspace.state / PUSHED, json.dumps(content, indent=1).encode(), PRIVATE_FILE)


def refuse_outdated(workspace: Workspace, images: Sequence[ImageRecord], time: int) -> None:
    """Refuse the image of a site that was built with another kit than the present one.

    Args:
        time: modification time of the files in images, in seconds since 1970.

    Raises:
        Failed: an image is outdated.
    """
    outdated = [
        image.name
        for image in images
        if image.site
        and image.kit
        and image.kit != sha256(kit_layer(workspace.kit(image.site), time)).hexdigest()
    ]
    if outdated:
        raise Failed(
            f"{', '.join(outdated)}: holds an earlier kit of its site. Build: flarefleet images build"
        )


def added_files(kit: str, record: KitRecord) -> Iterator[str]:
    """Yield the paths that the operator added to a kit."""
    for top in KIT_FOLDERS:
        folder = f"{kit}/{top}"
        for name in sorted(entry.name for entry in os.scandir(folder)):
            if f"{top}/{name}" not in record.files:
                yield f"{folder}/{name}"
                for where, _, names in os.walk(f"{folder}/{name}"):
                    yield from (f"{where}/{inside}" for inside in sorted(names))


class _Kits:
    """The present kits of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._records = read_kits(workspace.state)

    def digest(self, site: str) -> str:
        """Return a digest of the public part of a kit, whose files are not read; empty if there is no kit."""
        record, kit = self._records.get(site), self._workspace.kit(site)
        if record is None:
            return ""
        content: list[object] = [
            (name, file.digest) for name, file in record.files.items() if not has_secret_name(Path(name))
        ]
        try:
            for path in added_files(str(kit), record):
                found = os.lstat(path)
                content.append((path[len(str(kit)) :], found.st_size, found.st_mtime_ns))
        except FileNotFoundError:
            return ""
        return sha256(str(content).encode()).hexdigest()

    def are_in(self, entry: Mapping[str, str]) -> bool:
        """Return whether a pushed image holds no kit, or the present one."""
        return "site" not in entry or entry.get("kit") == self.digest(entry["site"])


def _entries(workspace: Workspace) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = json.loads((workspace.state / PUSHED).read_bytes())
    except (FileNotFoundError, ValueError):
        return
    for name, value in content.items() if isinstance(content, dict) else ():
        entry = value if isinstance(value, dict) else {"digest": value}  # a file of an earlier version
        if _DIGEST.fullmatch(str(entry.get("digest"))):
            yield name, entry

"""From kits as NVFlare made them to the workspace: their modes, and each in its place in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from deploy.provision.files import SECRET_FILE, SECRET_FOLDER, exchange
from deploy.provision.plan import KEY_SUFFIX
from deploy.provision.state import MadeFile, MadeKit, digest_of
from deploy.workspace import Workspace

_OWNER_MAY_RUN = 0o100


def finish(kit: Path) -> dict[str, MadeFile]:
    """Give every file of a kit its mode, whatever the umask; tell what was made: path in the kit to file."""
    made = {}
    root = os.fspath(kit)
    for where, _, names in os.walk(root):
        os.chmod(where, 0o755)  # noqa: PTH101, S103 - as all of this: pathlib takes as long as the disk
        for name in names:
            file = f"{where}/{name}"
            found = os.stat(file)  # noqa: PTH116
            mode = SECRET_FILE if name.endswith(KEY_SUFFIX) else _mode(found.st_mode)
            if found.st_mode & 0o777 != mode:
                os.chmod(file, mode)  # noqa: PTH101
            with open(file, "rb") as content:  # noqa: PTH123
                digest = digest_of(content.read())
            made[file[len(root) + 1 :]] = MadeFile(found.st_size, found.st_mtime_ns, digest)
    return made


def _mode(now: int) -> int:
    return 0o755 if now & _OWNER_MAY_RUN else 0o644


def install(kit: Path, made: dict[str, MadeFile], last: MadeKit | None, place: Path) -> None:
    """Put a finished kit in its place; what somebody else put into the old one goes with it."""
    if place.is_dir():
        _carry_over(kit, made, last, place)
    exchange(kit, place)


def retire(workspace: Workspace, name: str, staging: Path) -> Path:
    """Move a kit to removed/, and take back what was released of it.

    Returns:
        Where it lies now.
    """
    workspace.removed.mkdir(mode=SECRET_FOLDER, exist_ok=True)
    place = workspace.removed / f"{name}-{datetime.now(timezone.utc):%Y%m%dT%H%M%S.%fZ}"
    if (workspace.release / name).exists():
        (staging / "release").mkdir(exist_ok=True)
        (workspace.release / name).rename(staging / "release" / name)
    if workspace.kit(name).exists():
        workspace.kit(name).rename(place)
    return place


def _carry_over(kit: Path, made: dict[str, MadeFile], last: MadeKit | None, place: Path) -> None:
    ours = made.keys() | (last.files.keys() if last else set())
    for file in _files(place):
        path = file.relative_to(place).as_posix()
        if path not in ours and not os.path.lexists(kit / path):
            (kit / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(file, kit / path, follow_symlinks=False)
            except OSError:  # a file system without hard links
                shutil.copy2(file, kit / path, follow_symlinks=False)


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield Path(where, name)

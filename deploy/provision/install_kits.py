"""Move finished kits into the workspace."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.provision.state import FileRecord, KitRecord, digest_of
from deploy.secret_files import KEY_SUFFIX
from deploy.workspace_files import link_or_copy, replace_folder
from fl_app.files import PRIVATE_FILE


def set_modes(kit: Path) -> dict[str, FileRecord]:
    """Set the mode of every file of a kit, regardless of the umask.

    Returns:
        The record of each file by its path in the kit.
    """
    records = {}
    root = os.fspath(kit)
    for where, _, names in os.walk(root):
        os.chmod(where, 0o755)  # noqa: PTH101, S103 - pathlib would double the time here
        for name in names:
            file = f"{where}/{name}"
            found = os.stat(file)  # noqa: PTH116
            public_mode = 0o755 if found.st_mode & 0o100 else 0o644
            mode = PRIVATE_FILE if name.endswith(KEY_SUFFIX) else public_mode
            if found.st_mode & 0o777 != mode:
                os.chmod(file, mode)  # noqa: PTH101
            with open(file, "rb") as content:  # noqa: PTH123
                digest = digest_of(content.read())
            records[file[len(root) + 1 :]] = FileRecord(found.st_size, found.st_mtime_ns, digest)
    return records


def install_kit(new: Path, records: dict[str, FileRecord], last: KitRecord | None, kit: Path) -> None:
    """Replace `kit` with the folder `new` in one step. Files that the operator added to `kit` are kept."""
    if kit.is_dir():
        _keep_added_files(new, records.keys() | (last.files.keys() if last else set()), kit)
    replace_folder(new, kit)


def _keep_added_files(new: Path, provisioned: set[str], kit: Path) -> None:
    for file in (Path(where, name) for where, _, names in os.walk(kit) for name in names):
        path = file.relative_to(kit).as_posix()
        if path not in provisioned and not os.path.lexists(new / path):
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(str(file), str(new / path))

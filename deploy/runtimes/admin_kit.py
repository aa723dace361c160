"""Adapt an administrator's startup kit to the server's address as this machine sees it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from deploy.workspace import KIT_FOLDERS
from fl_app.files import PRIVATE_FOLDER, write_atomically

_CONFIG = "fed_admin.json"


def kit_for_host(kit: Path, host: str, variant: Path, port: int | None = None) -> Path:
    """Return `kit` if it names this server address, otherwise a variant of it that does.

    The variant consists of symbolic links to the files of the kit, and its own fed_admin.json. Each file is
    replaced atomically and only if it differs, so that concurrent calls and open sessions do not interfere.

    Args:
        port: the server's administration port (default: the port in the kit).
    """
    document = json.loads((kit / "startup" / _CONFIG).read_text(encoding="utf-8"))
    admin = document["admin"]
    if admin["host"] == host and port in (None, admin["port"]):
        return kit
    admin["host"] = host
    admin["port"] = port or admin["port"]
    for part in KIT_FOLDERS:
        (variant / part).mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for file in (kit / part).glob("*"):
            if file.name != _CONFIG:
                _link(variant / part / file.name, file.resolve())
        for link in (variant / part).iterdir():
            if link.is_symlink() and not link.exists():  # the kit no longer has this file
                link.unlink(missing_ok=True)
    config = variant / "startup" / _CONFIG
    content = json.dumps(document, indent=2).encode() + b"\n"
    if not config.is_file() or config.read_bytes() != content:
        write_atomically(config, content)
    return variant


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    with tempfile.TemporaryDirectory(dir=link.parents[1], prefix=".new-") as folder:
        new = Path(folder, link.name)
        new.symlink_to(target)
        new.replace(link)

"""Administrators' kits that reach the server from this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def kit_for_host(kit: Path, host: str, copy: Path, port: int | None = None) -> Path:
    """Return `kit` if it names this host and port as the server; otherwise make a copy that does.

    Args:
        kit: an administrator's startup kit.
        host: host name or address of the server.
        copy: path of the copy; an earlier copy is replaced.
        port: admin port of the server (default: the kit's).
    """
    document = json.loads((kit / "startup" / "fed_admin.json").read_text(encoding="utf-8"))
    admin = document["admin"]
    if admin["host"] == host and port in (None, admin["port"]):
        return kit
    admin["host"] = host
    admin["port"] = port or admin["port"]
    new = copy.with_name(f".{copy.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copytree(kit, new)  # keeps the modes: the private key stays 0600
    (new / "startup" / "fed_admin.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(copy, ignore_errors=True)
    new.rename(copy)
    return copy

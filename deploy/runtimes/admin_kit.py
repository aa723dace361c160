"""An administrator's kit that reaches the server from this machine, whatever host the kit itself names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def kit_for_host(kit: Path, host: str, copy: Path, port: int | None = None) -> Path:
    """The kit itself if it names `host` as the server, and `port`; otherwise a copy of it that does.

    Args:
        kit: an administrator's startup kit.
        host: the server's name or address.
        copy: where a copy would be; an earlier one there is replaced.
        port: the server's for administration, where it is another than the kit's.
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
    shutil.copytree(kit, new)  # modes included: its key stays 0600
    (new / "startup" / "fed_admin.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(copy, ignore_errors=True)
    new.rename(copy)
    return copy

"""The project.yml of a measured federation: one server, some sites and an administrator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

NAME = "bench"
ADMIN = "admin@example.org"
_BUILDERS = "nvflare.lighter.impl"


def write_project(
    folder: Path,
    server: Mapping[str, Any],
    sites: Iterable[str],
    *,
    scheme: str | None = None,
    builders: Iterable[str] = (),
    **settings: Any,
) -> None:
    """Write project.yml to `folder`.

    Args:
        folder: the folder.
        server: keys of the server besides its type and organization.
        sites: the names of the sites.
        scheme: transport of NVFlare's messages (default: NVFlare's default).
        builders: further builders of NVFlare, relative to its package of builders.
        settings: further top-level keys.
    """
    arguments = {"config_folder": "config", **({"scheme": scheme} if scheme else {})}
    document = {
        "api_version": 3,
        "name": NAME,
        "description": "a federation for a benchmark",
        "participants": [
            {"type": "server", "org": NAME, **server},
            *({"name": name, "type": "client", "org": NAME} for name in sites),
            {"name": ADMIN, "type": "admin", "org": NAME, "role": "project_admin"},
        ],
        "builders": [
            {"path": f"{_BUILDERS}.workspace.WorkspaceBuilder"},
            {"path": f"{_BUILDERS}.static_file.StaticFileBuilder", "args": arguments},
            {"path": f"{_BUILDERS}.cert.CertBuilder"},
            *({"path": f"{_BUILDERS}.{name}"} for name in builders),
        ],
        **settings,
    }
    (folder / "project.yml").write_text(yaml.safe_dump(document, sort_keys=False))

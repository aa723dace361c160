"""Projects on one machine and on several hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.project import Project, load_project

BUILDERS = [
    {
        "path": "nvflare.lighter.impl.workspace.WorkspaceBuilder",
        "args": {"template_file": ["master_template.yml"]},
    },
    {"path": "nvflare.lighter.impl.static_file.StaticFileBuilder", "args": {"config_folder": "config"}},
    {"path": "nvflare.lighter.impl.cert.CertBuilder"},
    {"path": "nvflare.lighter.impl.signature.SignatureBuilder"},
]


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """Write and load a project.yml; further arguments are keys of `deployment`."""

    def write(
        name: str = "demo", default_host: str | None = "localhost", count: int = 3, **deployment: Any
    ) -> Project:
        server = {"name": "flare-server", "type": "server", "org": "lab", "fed_learn_port": 8002}
        document = {
            "api_version": 3,
            "name": name,
            "description": "of a test",
            "participants": [
                server | ({"default_host": default_host} if default_host else {}),
                *({"name": f"site-{n}", "type": "client", "org": "lab"} for n in range(1, count + 1)),
                {"name": "admin@lab.example", "type": "admin", "org": "lab", "role": "project_admin"},
            ],
            "builders": BUILDERS,
        }
        if deployment:
            document["deployment"] = deployment
        file = tmp_path / "project.yml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        return load_project(file)

    return write

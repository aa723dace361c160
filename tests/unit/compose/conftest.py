"""Projects on one machine and on several hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.project import Project, load_project
from tests.unit.provision.federation import document


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """Write and load a project.yml of three sites; further arguments are keys of `deployment`."""

    def write(default_host: str = "localhost", **deployment: Any) -> Project:
        content = document("site-1", "site-2", "site-3") | {"name": "demo", "deployment": deployment}
        content["participants"][0] |= {"name": "flare-server", "default_host": default_host}
        file = tmp_path / "project.yml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        return load_project(file)

    return write

"""Hosts of a federation of several, as their operators have them: a release folder, Docker, and Compose."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.runtimes.docker.program import find_compose
from fl_app.contract import CONTAINER_UID

SERVER_HOST = "flare.hospitals.example"


@dataclass(frozen=True)
class Host:
    """A machine on which one folder of release/ has arrived.

    Args:
        folder: that folder; its commands run there.
        name: the server or the site.
    """

    folder: Path
    name: str

    @classmethod
    def receive(cls, release: Path, folder: Path) -> Host:
        """Take the folder over, and give the private key to the container's user, as compose.yaml says."""
        shutil.copytree(release, folder)
        for key in (folder / "key").iterdir():
            os.chown(key, CONTAINER_UID, -1)
        return cls(folder, release.name)

    def override(self, volume: dict[str, Any] | None = None, **service: Any) -> None:
        """Write compose.override.yaml: what an operator changes without touching compose.yaml."""
        document: dict[str, Any] = {"services": {self.name: service}}
        if volume:
            document["volumes"] = {"workspace": volume}
        (self.folder / "compose.override.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Compose in the folder; which files it reads is its own affair."""
        command = [*find_compose().command, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    @property
    def files(self) -> list[str]:
        """The files that Compose reads here, in their order."""
        files = [self.folder / name for name in ("compose.yaml", "compose.override.yaml")]
        return [str(file) for file in files if file.exists()]

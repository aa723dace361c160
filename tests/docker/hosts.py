"""Hosts of a federation over several hosts: a release folder, Docker and Compose."""

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
    """A host with the release folder of a server or site.

    Args:
        folder: the release folder.
        name: name of the server or site.
    """

    folder: Path
    name: str

    @classmethod
    def receive(cls, release: Path, folder: Path) -> Host:
        """Copy the release folder, and give the private key to the container's user, as compose.yaml says."""
        shutil.copytree(release, folder)
        for key in (folder / "key").iterdir():
            os.chown(key, CONTAINER_UID, -1)
        return cls(folder, release.name)

    def override(self, volume: dict[str, Any] | None = None, **service: Any) -> None:
        """Write compose.override.yaml with the operator's changes."""
        document: dict[str, Any] = {"services": {self.name: service}}
        if volume:
            document["volumes"] = {"workspace": volume}
        (self.folder / "compose.override.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Compose in the folder. Compose selects its files."""
        command = [*find_compose().command, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    @property
    def files(self) -> list[str]:
        """Return the files that Compose reads, in their order."""
        files = [self.folder / name for name in ("compose.yaml", "compose.override.yaml")]
        return [str(file) for file in files if file.exists()]

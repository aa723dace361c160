"""A host of a federation over several hosts: a release folder, Docker and Compose."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from deploy.federation_files import make_kits_and_releases
from deploy.images.build import ensure_site_images
from deploy.project import load_project
from deploy.runtimes.docker.program import find_compose
from deploy.workspace import Workspace
from fl_app.contract import CONTAINER_UID
from tests.federation.federation import write_project
from tests.skipping import IN_CI

NEEDS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0 and not IN_CI, reason="only root can give a private key to the container's user"
)
SERVER_HOST = "flare.hospitals.example"
OTHER_MACHINE = {"extra_hosts": [f"{SERVER_HOST}:host-gateway"]}
"""Settings that resolve the server's name to the machine that publishes its port."""


@contextmanager
def provisioned(
    engine: docker.DockerClient, folder: Path, name: str, sites: int
) -> Iterator[tuple[Workspace, list[str]]]:
    """Provision a federation of several hosts and build its images, which are removed at the end.

    Yields:
        The workspace, and the names of the server and the sites.
    """
    file = write_project(folder, sites=sites, name=name)
    file.write_text(file.read_text().replace("default_host: localhost", f"default_host: {SERVER_HOST}"))
    project = load_project(file)
    workspace = Workspace(folder / "workspace" / name)
    make_kits_and_releases(project, workspace)
    images = ensure_site_images(engine, project, workspace)
    try:
        yield workspace, list(images)
    finally:
        for image in images.values():
            engine.images.remove(image, force=True)


@dataclass(frozen=True)
class Host:
    """A machine with a copy of one release folder.

    Args:
        folder: the copy; commands run in it.
        name: the server or the site.
    """

    folder: Path
    name: str

    @classmethod
    def receive(cls, release: Path, folder: Path) -> Host:
        """Copy a release folder, and give the private key to the container's user."""
        shutil.copytree(release, folder)
        for key in (folder / "key").iterdir():
            os.chown(key, CONTAINER_UID, -1)
        return cls(folder, release.name)

    def override(self, volume: dict[str, Any] | None = None, **service: Any) -> None:
        """Write compose.override.yaml with the host's own settings."""
        document: dict[str, Any] = {"services": {self.name: service}}
        if volume:
            document["volumes"] = {"workspace": volume}
        (self.folder / "compose.override.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Compose in the folder, with the files that it reads by default."""
        command = [*find_compose().command, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    @contextmanager
    def running(self, *options: str, wait: bool = True) -> Iterator[None]:
        """Run the host's container for the duration of the block, and delete its volumes then.

        Args:
            options: options of Compose.
            wait: whether to wait until the container is healthy.
        """
        started = self.compose(*options, "up", "--detach", *(["--wait"] if wait else []))
        try:
            assert started.returncode == 0, started.stderr
            yield
        finally:
            self.compose(*options, "down", "--volumes")

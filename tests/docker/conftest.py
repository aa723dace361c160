"""The images of one federation, built once and shared by all tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from deploy.docker_engine import docker_environment
from deploy.federation_files import make_kits_and_releases
from deploy.images.build import build_images
from deploy.images.buildkit import find_docker
from deploy.images.names import runtime_image, site_image
from deploy.project import Project, load_project
from deploy.workspace import Workspace
from tests.federation.federation import write_project


@dataclass(frozen=True)
class Built:
    """A federation of a server and two sites, and its images."""

    client: docker.DockerClient
    project: Project
    workspace: Workspace

    @property
    def runtime(self) -> str:
        return runtime_image(self.project.image)

    @property
    def server(self) -> str:
        return site_image(self.project, self.project.server.name)

    @property
    def sites(self) -> list[str]:
        return [site_image(self.project, site.name) for site in self.project.sites]


@pytest.fixture(scope="session")
def built(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The images, built with the engine's cache."""
    project = load_project(write_project(tmp_path_factory.mktemp("images"), sites=2, name="image-tests"))
    workspace = Workspace(project.path.parent / "workspace" / project.name)
    make_kits_and_releases(project, workspace)
    build_images(engine, project, workspace)
    return Built(engine, project, workspace)


@pytest.fixture(scope="session")
def saved(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of `docker save`: layers, configurations and history of all images."""
    file = tmp_path_factory.mktemp("saved") / "images.tar"
    names = [built.runtime, built.server, *built.sites]
    command = [find_docker(), "save", "--output", str(file), *names]
    subprocess.run(command, env=docker_environment(), check=True)
    return file

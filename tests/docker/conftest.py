"""The images of one federation, built once and shared by all tests."""

from __future__ import annotations

from dataclasses import dataclass

import docker
import pytest

from deploy.federation_files import make_kits_and_releases
from deploy.images.build import build_images
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

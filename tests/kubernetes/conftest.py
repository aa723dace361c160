"""A server and two sites in the cluster, installed with helm as by three operators."""

from __future__ import annotations

import contextlib
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from deploy.federation_files import make_kits_and_releases
from deploy.project import Image, Project, load_project
from deploy.workspace import Workspace
from tests.federation.federation import WITHOUT_FORKS, write_project
from tests.kubernetes.cluster import Cluster, Release

ABSENT = "site-6"
"""The site that only the documented commands install."""
_NEW_SITES = itertools.cycle(("site-3", "site-4", "site-5"))
"""Kits of new sites. A kit is used again when its previous pod is long gone."""


@pytest.fixture(scope="package")
def project(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    """Provision a federation whose runtime image is on every node."""
    folder = tmp_path_factory.mktemp("cluster")
    project = load_project(write_project(folder, sites=6, name="fed", image=cluster_image, port=8002))
    workspace = Workspace(folder / "workspace" / project.name)
    make_kits_and_releases(project, workspace)
    for parent in project.parents:
        with (workspace.release / parent.name / "values.yaml").open("a", encoding="utf-8") as values:
            values.write(yaml.safe_dump(WITHOUT_FORKS))
    return project, workspace


@dataclass(frozen=True)
class Federation:
    """The installed releases."""

    cluster: Cluster
    server: Release
    site_1: Release
    site_2: Release

    @property
    def releases(self) -> tuple[Release, ...]:
        return self.server, self.site_1, self.site_2


def release_of(cluster: Cluster, workspace: Workspace, name: str) -> Release:
    """Return the release of a participant, which is not yet installed."""
    chart = "flare-server" if name == "flare-server" else "flare-client"
    return Release(cluster, name, f"fed-{name}", chart, workspace.release / name)


@pytest.fixture(scope="package")
def federation(cluster: Cluster, project: tuple[Project, Workspace]) -> Iterator[Federation]:
    """Install a server and two sites, and wait until they are ready."""
    names = ("flare-server", "site-1", "site-2")
    server, site_1, site_2 = (release_of(cluster, project[1], name) for name in names)
    made = Federation(cluster, server, site_1, site_2)
    cluster.remove_namespaces(*(release.namespace for release in made.releases))
    for release in made.releases:
        cluster.make_namespace(release.namespace)
        release.apply_key()
        release.install()
    for release in made.releases:
        release.wait_until_ready()
    yield made
    cluster.remove_namespaces(*(release.namespace for release in made.releases), wait=False)


@contextlib.contextmanager
def added_site(federation: Federation, workspace: Workspace) -> Iterator[Release]:
    """Create a namespace with the key of a further site, which is not yet installed."""
    release = release_of(federation.cluster, workspace, next(_NEW_SITES))
    release.namespace = f"fed-{release.name}-{uuid.uuid4().hex[:6]}"
    federation.cluster.make_namespace(release.namespace)
    release.apply_key()
    yield release
    federation.cluster.kubectl("delete", "namespace", release.namespace, "--wait=false")


@pytest.fixture
def new_site(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Release]:
    """A further site with a namespace and a key; the test installs it."""
    with added_site(federation, project[1]) as release:
        yield release

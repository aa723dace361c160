"""A server and two sites in the cluster, installed with helm as by three operators."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploy.federation_files import make_kits_and_releases
from deploy.project import Image, Project, load_project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import Cluster, CommandFailedError, Release

PROJECT = """\
api_version: 3
name: cluster-tests
description: a server and three sites, each in a namespace of its own
participants:
  - {{name: flare-server, type: server, org: nvidia, default_host: flare-server.fed-server.svc}}
  - {{name: site-1, type: client, org: county}}
  - {{name: site-2, type: client, org: city}}
  - {{name: site-3, type: client, org: village}}
  - {{name: admin@example.org, type: admin, org: nvidia, role: project_admin}}
builders:
  - path: nvflare.lighter.impl.workspace.WorkspaceBuilder
    args: {{template_file: [master_template.yml]}}
  - path: nvflare.lighter.impl.static_file.StaticFileBuilder
    args: {{config_folder: config, scheme: http}}
  - path: nvflare.lighter.impl.cert.CertBuilder
  - path: nvflare.lighter.impl.signature.SignatureBuilder
deployment:
  image: {{registry: {registry}, tag: "{tag}", variant: cpu}}
  defaults: {{storage: 1Gi}}
  sites:
    flare-server: {{namespace: fed-server}}
    site-1: {{namespace: fed-site-1}}
    site-2: {{namespace: fed-site-2}}
    site-3: {{namespace: fed-site-3}}
"""


@pytest.fixture(scope="session")
def project(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    """Provision a federation whose runtime image is on every node."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "project.yml").write_text(
        PROJECT.format(registry=cluster_image.registry, tag=cluster_image.tag)
    )
    project = load_project(folder / "project.yml")
    workspace = Workspace(folder / "workspace" / project.name)
    make_kits_and_releases(project, workspace)
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
    namespace = f"fed-{name.removeprefix('flare-')}"
    return Release(cluster, name, namespace, chart, workspace.release / name)


@pytest.fixture(scope="session")
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
    cluster.remove_namespaces(*(release.namespace for release in made.releases))


@contextlib.contextmanager
def third_site(federation: Federation, workspace: Workspace) -> Iterator[Release]:
    """Create a namespace with the key of a third site, which is not yet installed."""
    release = release_of(federation.cluster, workspace, "site-3")
    release.namespace = f"fed-site-3-{uuid.uuid4().hex[:6]}"
    federation.cluster.make_namespace(release.namespace)
    release.apply_key()
    yield release
    # Wait until the site is gone, because the next test uses its kit.
    with contextlib.suppress(CommandFailedError):
        release.uninstall()
    federation.cluster.kubectl("delete", "namespace", release.namespace, "--wait=false")


@pytest.fixture
def new_site(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Release]:
    """A third site with a namespace and a key; the test installs it."""
    with third_site(federation, project[1]) as release:
        yield release

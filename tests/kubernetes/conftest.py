"""One cluster for the whole run; in it a server and two sites, as three operators install them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.errors import MachineError
from deploy.images.build import build_runtime
from deploy.images.inputs import source_digest
from deploy.images.names import runtime_image
from deploy.project import Project, load_project
from deploy.provision import provision
from deploy.runtimes.docker.engine import connect
from deploy.tools import fetch_tools, find_tool
from deploy.workspace import Workspace
from tests.kubernetes.cluster import CONTEXT, PROGRAM, Cluster, CommandFailedError, Release

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
  image: {{registry: flarefleet-tests, tag: "{tag}", variant: cpu}}
  defaults: {{storage: 1Gi}}
  sites:
    flare-server: {{namespace: fed-server}}
    site-1: {{namespace: fed-site-1}}
    site-2: {{namespace: fed-site-2}}
    site-3: {{namespace: fed-site-3}}
"""


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster: the one that is up, or one that is made and taken down afterwards."""
    if not PROGRAM.exists():
        _missing(f"no {PROGRAM}: these tests bring up a cluster with it")
    _find_tools()
    listed = ["docker", "ps", "-q", "--filter", f"label=test-cluster={CONTEXT}"]
    ours = not subprocess.run(listed, capture_output=True, text=True, check=False).stdout.strip()
    made = subprocess.run(
        [str(PROGRAM), "up", "--workers", "2", "--gpus", "1"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        _missing(f"the cluster does not come up: {made.stderr.strip()}")
    yield Cluster(Path(made.stdout.strip().rpartition("=")[2]))
    if ours:
        subprocess.run([str(PROGRAM), "down"], check=False, capture_output=True)


def _find_tools() -> None:
    """helm and kubectl, fetched if need be."""
    try:
        find_tool("helm")
        find_tool("kubectl")
    except MachineError:
        try:
            fetch_tools()
        except MachineError as error:
            _missing(str(error))


@pytest.fixture(scope="session")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    """A provisioned federation whose runtime image is on every node."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "project.yml").write_text(PROJECT.format(tag=source_digest("cpu")[:12]))
    project = load_project(folder / "project.yml")
    workspace = Workspace(folder / "workspace" / project.name)
    provision(project, workspace)
    _load_image(cluster, project)
    return project, workspace


def _load_image(cluster: Cluster, project: Project) -> None:
    """Build the image of these sources and load it; images of earlier sources go, each has 1.2 GB."""
    name = runtime_image(project.image)
    repository = name.rpartition(":")[0]
    with contextlib.closing(connect()) as client:
        tags = {tag for image in client.images.list(repository) for tag in image.tags}
        if name not in tags:
            build_runtime(client, project.image)
        for tag in tags - {name}:
            if tag.startswith(f"{repository}:"):
                client.images.remove(tag)
    if cluster.nodes_with(name) != set(cluster.workers):
        subprocess.run([str(PROGRAM), "load", name], check=True, capture_output=True)


@dataclass(frozen=True)
class Federation:
    """What is installed, each by another operator."""

    cluster: Cluster
    server: Release
    site_1: Release
    site_2: Release

    @property
    def releases(self) -> tuple[Release, ...]:
        return self.server, self.site_1, self.site_2


def release_of(cluster: Cluster, workspace: Workspace, name: str) -> Release:
    """The release of a participant, not yet installed."""
    chart = "flare-server" if name == "flare-server" else "flare-client"
    namespace = f"fed-{name.removeprefix('flare-')}"
    return Release(cluster, name, namespace, chart, workspace.release / name)


@pytest.fixture(scope="session")
def federation(cluster: Cluster, project: tuple[Project, Workspace]) -> Iterator[Federation]:
    """A server and two sites, ready."""
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


@pytest.fixture
def newcomer(federation: Federation, project: tuple[Project, Workspace]) -> Iterator[Release]:
    """A third site of the federation, in a namespace of this test with its key, not yet installed."""
    release = release_of(federation.cluster, project[1], "site-3")
    release.namespace = f"fed-site-3-{uuid.uuid4().hex[:6]}"
    federation.cluster.make_namespace(release.namespace)
    release.apply_key()
    yield release
    # The site goes now, since the next test's has the same kit; Kubernetes takes its time over the namespace.
    with contextlib.suppress(CommandFailedError):
        release.uninstall()
    federation.cluster.kubectl("delete", "namespace", release.namespace, "--wait=false")

"""Other sources of a kit than values: existing ConfigMaps, or the site's image."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import docker
import pytest

from deploy.images.build import build_site, source_date_epoch
from deploy.images.kit_layer import kit_layer
from deploy.images.names import site_image
from deploy.project import Project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import Release

pytestmark = pytest.mark.kubernetes


def test_a_kit_in_existing_config_maps(newcomer: Release) -> None:
    for folder in ("startup", "local"):
        newcomer.cluster.kubectl(
            *("create", "configmap", "-n", newcomer.namespace, f"own-{folder}"),
            f"--from-file={newcomer.folder / 'kit' / folder}",
        )
    newcomer.install(
        "--set", "kit.source=configMap,kit.configMap.startup=own-startup,kit.configMap.local=own-local"
    )
    newcomer.wait_until_ready()
    assert "Succeeded" in newcomer.test()


@pytest.fixture
def image_on_a_node(
    newcomer: Release, project: tuple[Project, Workspace], engine: docker.DockerClient
) -> Iterator[tuple[str, str]]:
    """Build the site's image with its kit, and copy it to one node."""
    name = site_image(project[0], newcomer.name)
    build_site(project[0], newcomer.name, kit_layer(project[1].kit(newcomer.name), source_date_epoch()))
    node = newcomer.cluster.workers[0]
    saved = subprocess.Popen(["docker", "save", name], stdout=subprocess.PIPE)
    load = ["docker", "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-"]
    subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    assert saved.wait() == 0
    yield name, node
    engine.images.remove(name)


def test_a_kit_in_the_sites_image(newcomer: Release, image_on_a_node: tuple[str, str]) -> None:
    name, node = image_on_a_node
    repository, _, tag = name.rpartition(":")
    registry, _, repository = repository.partition("/")
    newcomer.install(
        *("--set", f"kit.source=image,image.registry={registry}"),
        *("--set", f"image.repository={repository},image.tag={tag}"),
        *("--set", f"nodeSelector.kubernetes\\.io/hostname={node}"),
    )
    newcomer.wait_until_ready()
    pod = newcomer.cluster.get("pod", "-n", newcomer.namespace, newcomer.pod)
    assert not [volume for volume in pod["spec"]["volumes"] if "configMap" in volume]
    assert newcomer.exec("ls", "/etc/flare/kit/startup").split()
    assert "Succeeded" in newcomer.test()

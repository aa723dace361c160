"""Other sources of a kit than values: existing ConfigMaps, or the site's image."""

from __future__ import annotations

import subprocess

import docker
import pytest

from deploy.images.build import build_site, source_date_epoch
from deploy.images.kit_layer import kit_layer
from deploy.images.names import site_image
from deploy.project import Project
from deploy.workspace import Workspace
from tests.kubernetes.cluster import Release

pytestmark = pytest.mark.kubernetes


def test_a_site_starts_with_a_kit_in_existing_config_maps(new_site: Release) -> None:
    for folder in ("startup", "local"):
        new_site.cluster.kubectl(
            *("create", "configmap", "-n", new_site.namespace, f"own-{folder}"),
            f"--from-file={new_site.folder / 'kit' / folder}",
        )
    new_site.install(
        "--set", "kit.source=configMap,kit.configMap.startup=own-startup,kit.configMap.local=own-local"
    )
    new_site.wait_until_ready()
    assert "Succeeded" in new_site.test()


def test_a_site_starts_with_the_kit_in_its_image(
    new_site: Release, project: tuple[Project, Workspace], engine: docker.DockerClient
) -> None:
    name, node = site_image(project[0], new_site.name), new_site.cluster.workers[0]
    build_site(project[0], new_site.name, kit_layer(project[1].kit(new_site.name), source_date_epoch()))
    saved = subprocess.Popen(["docker", "save", name], stdout=subprocess.PIPE)
    load = ["docker", "exec", "-i", node, "ctr", "-n", "k8s.io", "images", "import", "-"]
    subprocess.run(load, stdin=saved.stdout, check=True, capture_output=True)
    assert saved.wait() == 0
    engine.images.remove(name)
    repository, _, tag = name.rpartition(":")
    registry, _, repository = repository.partition("/")
    new_site.install(
        *("--set", f"kit.source=image,image.registry={registry}"),
        *("--set", f"image.repository={repository},image.tag={tag}"),
        *("--set", f"nodeSelector.kubernetes\\.io/hostname={node}"),
    )
    new_site.wait_until_ready()
    pod = new_site.cluster.get("pod", "-n", new_site.namespace, new_site.pod)
    assert not [volume for volume in pod["spec"]["volumes"] if "configMap" in volume]
    assert new_site.exec("ls", "/etc/flare/kit/startup").split()
    assert "Succeeded" in new_site.test()

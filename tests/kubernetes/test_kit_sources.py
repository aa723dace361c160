"""Other sources of a kit than values: existing ConfigMaps, or the site's image."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import docker
import pytest

from deploy.images.archive import save_images
from deploy.images.build import build_site, source_date_epoch
from deploy.images.inventory import ImageRecord
from deploy.images.kit_layer import kit_layer
from deploy.images.names import site_image
from deploy.project import Project
from deploy.release.images import list_images
from deploy.workspace import Workspace
from tests.documented import ROOT
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


def load_without_docker(
    engine: docker.DockerClient, images: list[ImageRecord], node: str, archive: Path
) -> None:
    """Save images as the operator does, and load them on a node with the command of the guide."""
    save_images(engine, images, archive)
    guide = (ROOT / "docs" / "air-gap.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^sudo (ctr .*) hospital-1\.tar ", guide, re.MULTILINE)
    with archive.open("rb") as content:
        load = ["docker", "exec", "-i", node, *shlex.split(command), "-"]
        subprocess.run(load, stdin=content, check=True, capture_output=True)


def test_a_site_starts_with_the_kit_in_its_image(
    new_site: Release, project: tuple[Project, Workspace], engine: docker.DockerClient, tmp_path: Path
) -> None:
    name, node = site_image(project[0], new_site.name), new_site.cluster.workers[0]
    build_site(project[0], new_site.name, kit_layer(project[1].kit(new_site.name), source_date_epoch()))
    load_without_docker(engine, list_images(engine, *project, new_site.name), node, tmp_path / "site.tar")
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

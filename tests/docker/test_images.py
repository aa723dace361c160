"""The content of the images. The same input gives the same content."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import IO

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from docker import DockerClient

from deploy.images.build import BuildOptions, build_runtime, build_site, ensure_site_images, source_date_epoch
from deploy.images.inputs import source_digest
from deploy.images.kit_layer import kit_layer
from deploy.images.names import LABEL_SOURCE
from deploy.images.sbom import read_sbom
from deploy.release.images import list_images
from fl_app.contract import NVFLARE_VERSION, flarefleet_version
from tests.docker.conftest import Built
from tests.docker.containers import python_inside

pytestmark = pytest.mark.docker

OS_LAYERS = slice(0, 3)
"""The base image, /etc/hosts and Debian's packages of the day.

Docker computes the changes of a step in one of two ways, and one of them also lists unchanged folders. A
build cache can have layers of both.
"""

OWN_LAYERS = slice(3, 6)
"""torch, the locked requirements, fl_app."""

SBOM_LAYER = 6
"""The bill of materials, which lists Debian's packages of the day."""

UNMET_REQUIREMENTS = """
from importlib.metadata import distributions
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
have = {canonicalize_name(d.name): d.version for d in distributions()}
operators = {"docker", "jinja2", "rich", "typer"}
for d in distributions():
    for text in d.requires or ():
        r = Requirement(text)
        name = canonicalize_name(r.name)
        if r.marker and not r.marker.evaluate({"extra": ""}):
            continue
        if d.name == "flarefleet" and name in operators:
            continue
        if name not in have or not r.specifier.contains(have[name].split("+")[0], prereleases=True):
            print(d.name, "needs", r, "has", have.get(name))
"""
FAILED_IMPORTS = """
import importlib, pkgutil, fl_app
for module in pkgutil.walk_packages(fl_app.__path__, "fl_app."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            print(module.name, repr(error))
"""
SOURCES_WITHOUT_BYTECODE = """
import importlib.util, pathlib, sysconfig
for source in pathlib.Path(sysconfig.get_path("purelib")).rglob("*.py"):
    if source.name.startswith(("py312_", "py313_", "py314_")):
        continue
    compiled = pathlib.Path(importlib.util.cache_from_source(str(source)))
    head = compiled.read_bytes()[:8] if compiled.exists() else b""
    if head[:4] != importlib.util.MAGIC_NUMBER or head[4:] != bytes([1, 0, 0, 0]):
        print(source)
"""


def test_the_packages_of_jobs_can_be_imported_in_a_hardened_container(built: Built) -> None:
    program = (
        "import torch, sklearn, kubernetes, nvflare; from torch.utils.tensorboard import SummaryWriter as W; "
    )
    program += "W('/tmp/tb').add_scalar('a', 1.0); print(nvflare.__version__, torch.ones(2).sum().item())"
    assert python_inside(built.client, built.runtime, program).strip() == f"{NVFLARE_VERSION} 2.0"


def test_every_module_of_fl_app_can_be_imported(built: Built) -> None:
    """Modules that need Flower are excluded, see fl_app/jobs/flower_digits."""
    missing = python_inside(built.client, built.runtime, FAILED_IMPORTS).splitlines()
    assert [line for line in missing if "No module named 'flwr'" not in line] == []


@pytest.mark.parametrize(
    "program", [UNMET_REQUIREMENTS, SOURCES_WITHOUT_BYTECODE], ids=["requirements", "bytecode"]
)
def test_requirements_are_met_and_bytecode_is_valid_regardless_of_file_times(
    built: Built, program: str
) -> None:
    assert python_inside(built.client, built.runtime, program) == ""


def test_deploy_and_build_tools_are_not_in_the_image(built: Built) -> None:
    program = (
        "import importlib.util as u; print([m for m in ('deploy', 'pip', 'cyclonedx') if u.find_spec(m)])"
    )
    assert python_inside(built.client, built.runtime, program).strip() == "[]"


def test_images_have_labels(built: Built) -> None:
    labels = built.client.images.get(built.sites[0]).labels
    assert labels["org.opencontainers.image.version"] == flarefleet_version()
    assert labels["org.opencontainers.image.base.name"] == "debian:bookworm-slim"
    assert labels["org.opencontainers.image.created"].endswith("+00:00")
    assert len(labels["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40
    assert labels["flare.site"] == "site-1"


def test_the_entry_point_runs_without_a_shell_and_without_root(built: Built) -> None:
    config = built.client.images.get(built.sites[0]).attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == [
        "/usr/bin/tini",
        "-g",
        "--",
        "python",
        "-m",
        "fl_app.startup",
    ]
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_the_bill_of_materials_has_python_and_debian_packages(built: Built) -> None:
    inside = read_sbom(built.client, built.sites[0])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(inside.decode()) is None
    names = {component["purl"].split("@")[0] for component in json.loads(inside)["components"]}
    assert {"pkg:pypi/nvflare", "pkg:pypi/torch", "pkg:deb/debian/tini", "pkg:deb/debian/libc6"} <= names
    assert (built.workspace.root / "images" / "flarefleet.cdx.json").read_bytes() == inside


def test_the_image_of_a_site_is_one_small_layer_on_the_runtime(built: Built) -> None:
    runtime, *sites = list_images(built.client, built.project, built.workspace)
    for site in sites:
        assert site.layers[:-1] == runtime.layers
        assert site.size is not None
        assert runtime.size is not None
        assert site.size - runtime.size < 100_000


def layers(client: DockerClient, image: str) -> list[str]:
    """Return the digests of an image's layers, the base image first."""
    found: list[str] = client.images.get(image).attrs["RootFS"]["Layers"]
    return found


def changed_files(client: DockerClient, one: str, other: str) -> list[str]:
    """List the files that differ between two images."""
    program = (
        r"cd / && find etc opt root usr var -xdev ! -path etc/hosts ! -path etc/hostname ! -path etc/mtab "
        r"! -path etc/resolv.conf -printf '%p %y %m %U %T@ ' "
        r"\( -type f -exec sha256sum {} \; -o -printf '\n' \)"
    )
    found = [
        set(
            client.containers.run(image, ["-c", program], entrypoint="sh", user="0", remove=True).splitlines()
        )
        for image in (one, other)
    ]
    return sorted(line.decode() for line in found[0] ^ found[1])[:40]


def unchanged_folders(layer: IO[bytes], known: set[Path]) -> list[str]:
    """Return the folders of a layer that earlier layers have and below which the layer changes nothing.

    Args:
        layer: archive of the layer.
        known: folders of the earlier layers. Those of the layer are added.
    """
    with tarfile.open(fileobj=layer, mode="r|*") as archive:
        members = [(Path(member.name), member.isdir()) for member in archive]
    folders = {path for path, is_folder in members if is_folder}
    changed = {path for path, _ in members if path not in folders or path not in known}
    full = {folder for path in changed for folder in path.parents}
    unchanged = sorted(map(str, (folders & known) - full))
    known |= folders
    return unchanged


def test_no_layer_has_an_unchanged_folder(built: Built, saved: Path) -> None:
    with tarfile.open(saved) as archive:
        document = archive.extractfile("manifest.json")
        assert document is not None
        (names,) = (one["Layers"] for one in json.load(document) if built.runtime in one["RepoTags"])
        known: set[Path] = set()
        found = {}
        for name in names:
            layer = archive.extractfile(name)
            assert layer is not None
            found[name] = unchanged_folders(layer, known)
    assert not any(found[name] for name in names[OWN_LAYERS.start :]), found


def test_two_builds_of_a_site_without_cache_give_the_same_layers(built: Built) -> None:
    before = layers(built.client, built.sites[0])
    layer = kit_layer(built.workspace.kit("site-1"), source_date_epoch())
    build_site(built.project, "site-1", layer, cached=False)
    assert layers(built.client, built.sites[0]) == before


@pytest.mark.timeout(600)
def test_two_builds_of_the_runtime_without_cache_give_the_same_layers(built: Built) -> None:
    before = layers(built.client, built.runtime)
    again = built.project.image.model_copy(update={"tag": "built-again"})
    name = build_runtime(built.client, again, BuildOptions(cached=False))
    try:
        after = layers(built.client, name)
        changed = changed_files(built.client, built.runtime, name) if after != before else []
    finally:
        built.client.images.remove(name)
    sources = built.client.images.get(built.runtime).labels[LABEL_SOURCE]
    assert source_digest("cpu") == sources, "the checkout changed during this test; run it again"
    assert after[OWN_LAYERS] == before[OWN_LAYERS], changed
    if after[OS_LAYERS] == before[OS_LAYERS]:
        assert after[SBOM_LAYER:] == before[SBOM_LAYER:], changed


def test_up_to_date_images_are_not_built_again(built: Built) -> None:
    before = [record.id for record in list_images(built.client, built.project, built.workspace)]
    steps: list[object] = []
    names = ensure_site_images(built.client, built.project, built.workspace, steps.append)
    assert list(names.values()) == [built.server, *built.sites]
    assert steps == []
    assert [record.id for record in list_images(built.client, built.project, built.workspace)] == before


def test_a_changed_kit_rebuilds_only_the_image_of_that_site(built: Built) -> None:
    note = built.workspace.kit("site-2") / "local" / "note.txt"
    before = {record.site: record.id for record in list_images(built.client, built.project, built.workspace)}
    note.write_text("changed", encoding="utf-8")
    try:
        ensure_site_images(built.client, built.project, built.workspace)
    finally:
        note.unlink()
    after = {record.site: record.id for record in list_images(built.client, built.project, built.workspace)}
    assert {site for site in before if before[site] != after[site]} == {"site-2"}
    program = "print(open('/etc/flare/kit/local/note.txt').read())"
    assert python_inside(built.client, built.sites[1], program).strip() == "changed"
    ensure_site_images(built.client, built.project, built.workspace)

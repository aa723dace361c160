"""Transport of images to a site: through a registry, or as one archive."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import yaml
from docker.errors import ImageNotFound

from deploy.errors import Failed, InputError
from deploy.federation_files import make_kits_and_releases
from deploy.images.archive import load_images, save_images
from deploy.images.inventory import ImageRecord
from deploy.images.push import push_images
from deploy.ports import free_ports
from deploy.project import Image, Project, load_project
from deploy.release.images import list_images
from deploy.runtimes.docker.program import find_compose
from deploy.workspace import Workspace
from tests.documented import ROOT, commands_in, run
from tests.federation.federation import write_project
from tests.registry import PASSWORD, USER, Registry

pytestmark = pytest.mark.docker

SmallImage = Callable[[str], ImageRecord]

DOCKERFILE = 'FROM scratch\nCOPY flarefleet.cdx.json /usr/share/sbom/\nCMD ["/nothing"]\n'


@pytest.fixture
def small_image(engine: docker.DockerClient, tmp_path: Path) -> Iterator[SmallImage]:
    """A function that builds a small image with a bill of materials."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (context / "flarefleet.cdx.json").write_text("{}", encoding="utf-8")
    made: list[str] = []

    def make(name: str) -> ImageRecord:
        image, _ = engine.images.build(path=str(context), tag=name, rm=True)
        made.append(name)
        return ImageRecord(name=name, present=True, id=image.id)

    try:
        yield make
    finally:
        for name in made:
            with contextlib.suppress(ImageNotFound):
                engine.images.remove(name, force=True)


def project_with(folder: Path, registry: str | None) -> Project:
    file = write_project(folder, sites=1)
    if registry:
        with file.open("a", encoding="utf-8") as out:
            out.write(f'deployment:\n  image: {{registry: "{registry}"}}\n')
    return load_project(file)


def login(folder: Path, registry: str, password: str | None) -> docker.DockerClient:
    """Return a client with the credentials that `docker login` writes, if there is a password."""
    folder.mkdir()
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    auths = {registry: {"auth": auth}} if password else {}
    (folder / "config.json").write_text(json.dumps({"auths": auths}), encoding="utf-8")
    client = docker.from_env()
    client.api.reload_config(str(folder / "config.json"))
    return client


def test_pushed_images_are_in_the_registry(
    engine: docker.DockerClient, registry: Registry, small_image: SmallImage, tmp_path: Path
) -> None:
    address = registry()
    image = small_image(f"{address}/flare/runtime:1-cpu")
    reported: list[str] = []
    project = project_with(tmp_path, f"{address}/flare")
    digests = push_images(engine, project, [image], lambda what, _d, _o: reported.append(what))
    assert digests[image.name].startswith("sha256:")
    assert image.name in reported
    engine.images.remove(image.name)
    assert engine.images.pull(image.name).id == image.id


@pytest.mark.parametrize("password", [PASSWORD, None, "wrong"])
def test_the_credentials_of_docker_login_are_used(
    registry: Registry, small_image: SmallImage, tmp_path: Path, password: str | None
) -> None:
    address = registry(login=True)
    image = small_image(f"{address}/flare/runtime:1-cpu")
    client = login(tmp_path / "docker", address, password)
    project = project_with(tmp_path, f"{address}/flare")
    if password == PASSWORD:
        assert push_images(client, project, [image])[image.name]
    else:
        with pytest.raises(Failed, match=f"docker login {address}"):
            push_images(client, project, [image])


def test_a_registry_that_does_not_answer_is_reported(
    engine: docker.DockerClient, small_image: SmallImage, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    image = small_image(f"{address}/flare/runtime:1-cpu")
    with pytest.raises(Failed, match=f"{address} does not answer"):
        push_images(engine, project_with(tmp_path, f"{address}/flare"), [image])


def test_a_release_folder_names_pushed_images_by_their_digests_which_compose_pulls(
    engine: docker.DockerClient, registry: Registry, small_image: SmallImage, tmp_path: Path
) -> None:
    file = write_project(tmp_path, sites=1, image=Image(registry=f"{registry()}/flare"))
    file.write_text(file.read_text().replace("default_host: localhost", "default_host: flare.example.org"))
    project = load_project(file)
    workspace = Workspace(tmp_path / "workspace" / project.name)
    make_kits_and_releases(project, workspace)
    names = [small_image(one.name).name for one in list_images(None, project, workspace, "site-1")]

    output = run("flarefleet images push --site site-1", tmp_path)

    folder = workspace.release / "site-1"
    digests = dict(line.split() for line in output.splitlines() if "  sha256:" in line)
    assert list(digests) == names
    image = yaml.safe_load((folder / "values.yaml").read_text())["image"]
    assert image["digest"] == digests[names[0]]
    for name in names:
        engine.images.remove(name, force=True)
    find_compose().run(folder / "compose.yaml", "pull")
    assert engine.images.get(f"{names[1]}@{digests[names[1]]}").id


def test_a_push_needs_a_registry_in_project_yml(engine: docker.DockerClient, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"deployment\.image\.registry"):
        push_images(engine, project_with(tmp_path, None), [])


def test_a_missing_image_cannot_be_saved_or_pushed(engine: docker.DockerClient, tmp_path: Path) -> None:
    missing = ImageRecord(name="flarefleet/missing:1-cpu")
    for attempt in (
        lambda: save_images(engine, [missing], tmp_path / "images.tar"),
        lambda: push_images(engine, project_with(tmp_path, "registry.invalid/flare"), [missing]),
    ):
        with pytest.raises(Failed, match="images build"):
            attempt()
    assert not (tmp_path / "images.tar").exists()


def test_saved_images_are_loaded_under_their_names(
    engine: docker.DockerClient, small_image: SmallImage, tmp_path: Path
) -> None:
    images = [small_image("flarefleet-test/one:1"), small_image("flarefleet-test/two:1")]
    save_images(engine, images, tmp_path / "images.tar")
    for image in images:
        engine.images.remove(image.name)
    assert load_images(engine, tmp_path / "images.tar") == [image.name for image in images]
    assert [engine.images.get(image.name).id for image in images] == [image.id for image in images]


def test_an_archive_can_be_checked_and_loaded_without_flarefleet(
    engine: docker.DockerClient, small_image: SmallImage, tmp_path: Path
) -> None:
    image = small_image("flarefleet-test/one:1")
    save_images(engine, [image], tmp_path / "images.tar")
    engine.images.remove(image.name)
    lines = [one.line for one in commands_in(ROOT / "docs" / "air-gap.md")]
    check, load = (line for line in lines if "sha256sum" in line or line.startswith("docker load"))
    for line in (check, load):
        run(line.replace("hospital-1.tar", "images.tar"), tmp_path)
    assert engine.images.get(image.name).id == image.id

"""What makes a release folder complete: chart, digests of images, and the folders of administrators."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.charts import package_chart
from deploy.cli.app import app
from deploy.errors import Failed
from deploy.images.digests import record_digests, refuse_outdated
from deploy.images.inventory import ImageRecord
from deploy.images.kit_layer import kit_layer
from deploy.images.names import runtime_image, site_image
from deploy.release import update
from deploy.release.images import list_images
from deploy.runtimes.docker.program import find_compose
from deploy.workspace import Workspace
from fl_app.contract import flarefleet_version
from tests.unit.provision.federation import ADMIN, SERVER, Federation
from tests.unit.release.conftest import update_all, values_of

CHART = f"flare-client-{flarefleet_version()}.tgz"
CHECKOUT = Path(update.__file__).parents[2]
DIGESTS = {kind: f"sha256:{number:064}" for number, kind in enumerate(("runtime", "site-1"))}


def test_a_release_folder_has_the_chart_that_its_install_guide_names(federation: Federation) -> None:
    for name, chart in (("site-1", "flare-client"), (SERVER, "flare-server")):
        file = federation.workspace.release / name / f"{chart}-{flarefleet_version()}.tgz"
        assert file.read_bytes() == package_chart(chart)
        assert file.stat().st_mode & 0o777 == 0o644


def test_a_package_of_another_version_is_replaced(federation: Federation) -> None:
    folder = federation.workspace.release / "site-1"
    (folder / CHART).rename(folder / "flare-client-0.0.9.tgz")
    (folder / "own-0.1.tgz").touch()
    assert update_all(federation) == ["site-1"]
    assert {file.name for file in folder.glob("*.tgz")} == {CHART, "own-0.1.tgz"}


def test_the_releases_depend_on_their_charts() -> None:
    sources = {file.resolve().relative_to(CHECKOUT).as_posix() for file in update.release_sources()}
    assert {
        "helm/flare-client/templates/NOTES.txt",
        "helm/flare-server/values.schema.json",
        "helm/flare-common/templates/_pod.tpl",
    } <= sources


def test_an_administrator_gets_a_complete_kit_and_the_first_commands(federation: Federation) -> None:
    folder, kit = federation.workspace.release / ADMIN, federation.workspace.kit(ADMIN)
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in (kit / "startup").iterdir():
        assert (folder / "kit" / "startup" / file.name).read_bytes() == file.read_bytes()
    key = folder / "kit" / "startup" / "client.key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = (folder / "INSTALL.md").read_text()
    assert 'export FLAREFLEET_ADMIN_KIT="$PWD"' in text
    assert f"{SERVER}:8444" in text
    assert "site-1" not in text


def test_the_release_folder_of_a_removed_administrator_is_moved_to_removed(federation: Federation) -> None:
    entry = federation.entry(ADMIN) | {"name": "other@example.org"}
    federation.document["participants"].append(entry)
    federation.provision()
    assert (federation.workspace.release / "other@example.org" / "kit").is_dir()
    federation.remove("other@example.org")
    federation.provision()
    assert not (federation.workspace.release / "other@example.org").exists()


def test_pushed_images_are_named_by_their_digests_until_their_tag_changes(federation: Federation) -> None:
    project, workspace = federation.project, federation.workspace
    names = {runtime_image(project.image): DIGESTS["runtime"]}
    names[site_image(project, "site-1")] = DIGESTS["site-1"]

    record_digests(workspace, names)

    assert update_all(federation) == [SERVER, "site-1", "site-2"]
    assert update_all(federation) == []
    federation.provision()
    assert values_of(workspace, "site-1")["image"]["digest"] == DIGESTS["runtime"]
    assert image_of(workspace, "site-1") == f"${{FLARE_IMAGE:-{list(names)[1]}@{DIGESTS['site-1']}}}"
    assert image_of(workspace, "site-2") == site_image(project, "site-2")
    guide = (workspace.release / "site-1" / "INSTALL.md").read_text()
    assert f"echo FLARE_IMAGE={site_image(project, 'site-1')} > .env" in guide

    federation.document["deployment"]["image"]["tag"] = "1.2.4"
    federation.provision()
    assert "digest" not in values_of(workspace, "site-1")["image"]
    assert image_of(workspace, "site-1").endswith(":1.2.4-gpu")


def test_the_digest_of_a_sites_image_counts_only_for_the_kit_that_it_holds(federation: Federation) -> None:
    project, workspace = federation.project, federation.workspace
    image = site_image(project, "site-1")
    pushed = [ImageRecord(name=image, site="site-1")]
    record_digests(workspace, {image: DIGESTS["site-1"]}, pushed)
    update_all(federation)
    assert image_of(workspace, "site-1").endswith(f"@{DIGESTS['site-1']}}}")

    resources = workspace.kit("site-1") / "local" / "resources.json.default"
    resources.write_text(resources.read_text() + "\n")
    options = ["--project", str(project.path), "--workspace", str(workspace.root.parent)]
    printed = CliRunner().invoke(app, [*options, "provision"]).output  # repairs the kit
    assert image_of(workspace, "site-1").endswith(f"@{DIGESTS['site-1']}}}")
    assert "earlier kit" not in printed

    federation.document["participants"][0]["fed_learn_port"] = 9443
    assert federation.project.server.fed_learn_port == 9443  # and project.yml is written
    printed = CliRunner().invoke(app, [*options, "provision"]).output
    assert image_of(workspace, "site-1") == image
    assert f"{image}: the image in the registry holds an earlier kit" in printed

    record_digests(workspace, {image: DIGESTS["runtime"]}, pushed)
    update_all(federation)
    assert image_of(workspace, "site-1").endswith(f"@{DIGESTS['runtime']}}}")


def test_an_image_with_an_earlier_kit_is_not_pushed(federation: Federation) -> None:
    current = sha256(kit_layer(federation.workspace.kit("site-1"), 0)).hexdigest()
    good = [ImageRecord(name="runtime:1"), ImageRecord(name="site-1:1", site="site-1", kit=current)]
    refuse_outdated(federation.workspace, good, 0)

    with pytest.raises(Failed, match=r"^site-1:1: holds an earlier kit .* flarefleet images build"):
        refuse_outdated(federation.workspace, [good[1].model_copy(update={"kit": "0"})], 0)


def test_compose_reads_an_image_with_a_digest_and_its_override(federation: Federation) -> None:
    project, workspace = federation.project, federation.workspace
    record_digests(workspace, {site_image(project, "site-1"): DIGESTS["site-1"]})
    update_all(federation)
    file = workspace.release / "site-1" / "compose.yaml"

    def images() -> str:
        return str(yaml.safe_load(find_compose().run(file, "config"))["services"]["site-1"]["image"])

    assert images() == f"{site_image(project, 'site-1')}@{DIGESTS['site-1']}"
    (file.parent / ".env").write_text("FLARE_IMAGE=other:1\n")
    assert images() == "other:1"


def image_of(workspace: Workspace, name: str) -> str:
    document = yaml.safe_load((workspace.release / name / "compose.yaml").read_text())
    return str(document["services"][name]["image"])


def test_the_images_of_a_site_are_those_of_its_values_and_its_compose_file(federation: Federation) -> None:
    (federation.workspace.kit("site-2") / "local" / "custom").mkdir()  # values.yaml cannot hold this kit
    update_all(federation)
    for name in (SERVER, "site-1", "site-2"):
        image = values_of(federation.workspace, name)["image"]
        in_values = f"{image['registry']}/{image['repository']}:{image['tag']}"
        listed = list_images(None, federation.project, federation.workspace, name)
        assert [one.name for one in listed if "kubernetes" in one.runtimes] == [in_values]
        assert [one.name for one in listed if "docker" in one.runtimes] == [
            image_of(federation.workspace, name)
        ]
    assert len(list_images(None, federation.project, federation.workspace, "site-2")) == 1

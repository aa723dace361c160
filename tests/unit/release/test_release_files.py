"""The content of release folders."""

from __future__ import annotations

import base64
import errno
from pathlib import Path

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import Image
from deploy.project.schema import Guard, Tracking
from deploy.release import update, update_releases
from deploy.workspace import Workspace
from fl_app.contract import flarefleet_version
from tests.unit.provision.federation import Federation
from tests.unit.release.conftest import update_all, values_of

CHECKOUT = Path(update.__file__).parents[2]
PEM_KEY = "-----BEGIN {} KEY-----\nMIIEvQ\n-----END {} KEY-----\n"
CHART = f"flare-client-{flarefleet_version()}.tgz"
FILES = ("values.yaml", "key-secret.yaml", "INSTALL.md", "compose.yaml")


def test_the_values_have_the_settings_of_a_site(provisioned: Federation) -> None:
    values = values_of(provisioned.workspace, "site-1")
    del values["kit"]
    assert values == {
        "site": {"name": "site-1", "project": "hospitals"},
        "image": {"registry": "registry.example.org/flare", "repository": "runtime", "tag": "1.2.3-gpu"},
        "key": {"existingSecret": "site-1-key"},
        "launcher": "pod",
        "gpus": 2,
        "persistence": {"size": "200Gi"},
        "resources": {"limits": {"memory": "8Gi"}},
        "datasets": {"training": {"claim": "county-data", "mode": "ro"}},
        "networkPolicy": {"server": {"ports": [8443]}},
    }


def test_the_servers_values_have_both_ports(provisioned: Federation) -> None:
    values = values_of(provisioned.workspace, "flare.example.org")
    assert values["ports"] == {"federation": 8443, "admin": 8444}
    assert values["service"] == {"port": 8443, "adminPort": 8444}
    assert values["key"] == {"existingSecret": "flare-example-org-key"}


@pytest.mark.parametrize("name", ["flare.example.org", "site-1", "site-2"])
def test_the_files_in_the_values_equal_the_kits(provisioned: Federation, name: str) -> None:
    workspace = provisioned.workspace
    files = values_of(workspace, name)["kit"]["files"]
    assert {"rootCA.pem"} < files["startup"].keys()
    assert {"flarefleet.json", "resources.json.default"} < files["local"].keys()
    for folder, texts in files.items():
        for file, text in texts.items():
            assert text == (workspace.kit(name) / folder / file).read_text(), file


def test_only_the_secret_has_the_private_key(provisioned: Federation) -> None:
    workspace = provisioned.workspace
    file = workspace.release / "site-1" / "key-secret.yaml"
    secret = yaml.safe_load(file.read_text())
    key = (workspace.kit("site-1") / "startup" / "client.key").read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret["kind"] == "Secret"
    assert secret["metadata"]["name"] == "site-1-key"
    assert base64.b64decode(secret["data"]["client.key"]) == key
    for public in ("values.yaml", "INSTALL.md", "compose.yaml"):
        assert "PRIVATE KEY" not in (workspace.release / "site-1" / public).read_text()


def test_a_sites_folder_has_nothing_about_other_sites(provisioned: Federation) -> None:
    for file in FILES:
        text = (provisioned.workspace.release / "site-1" / file).read_text()
        assert "site-2" not in text
        assert "admin@example.org" not in text


def test_the_install_guide_has_the_commands_of_that_site(provisioned: Federation) -> None:
    text = (provisioned.workspace.release / "site-1" / "INSTALL.md").read_text()
    assert "kubectl apply --server-side -n county-flare -f key-secret.yaml" in text
    assert f"helm install site-1 ./{CHART} -n county-flare -f values.yaml" in text
    assert "flare.example.org:8443" in text
    assert "county-data" in text
    server = (provisioned.workspace.release / "flare.example.org" / "INSTALL.md").read_text()
    chart = CHART.replace("client", "server")
    assert f"helm install flare-example-org ./{chart} -n flare-example-org -f values.yaml" in server


def test_a_second_run_writes_nothing(federation: Federation) -> None:
    workspace = federation.workspace
    before = {file: file.stat().st_mtime_ns for file in workspace.release.rglob("*")}
    assert update_all(federation) == []
    assert {file: file.stat().st_mtime_ns for file in workspace.release.rglob("*")} == before


def test_a_changed_file_is_written_again(federation: Federation) -> None:
    file = federation.workspace.release / "site-2" / "values.yaml"
    content = file.read_bytes()
    file.write_text("site: {name: other}\n")
    (federation.workspace.release / "site-1" / "key-secret.yaml").chmod(0o644)
    assert update_all(federation) == ["site-1", "site-2"]
    assert file.read_bytes() == content
    assert (federation.workspace.release / "site-1" / "key-secret.yaml").stat().st_mode & 0o777 == 0o600


def test_the_releases_depend_on_their_templates_and_code() -> None:
    sources = {file.resolve().relative_to(CHECKOUT).as_posix() for file in update.release_sources()}
    assert {
        "deploy/release/compose.py",
        "deploy/release/templates/host.yaml.j2",
        "deploy/release/templates/INSTALL.md.j2",
        "deploy/images/names.py",
        "fl_app/contract.py",
    } <= sources


def test_a_changed_template_updates_existing_releases(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "host.yaml.j2"
    template.write_text("services: {}\n")
    monkeypatch.setattr("deploy.release.write.host_file", lambda *_, **__: template.read_text())
    monkeypatch.setattr(update, "release_sources", lambda: [template])
    update._sources_digest.cache_clear()
    try:
        assert len(update_all(federation)) == 4
    finally:
        update._sources_digest.cache_clear()
    assert (federation.workspace.release / "site-1" / "compose.yaml").read_text() == "services: {}\n"


def test_a_kit_that_does_not_fit_into_values_is_in_the_sites_image(
    federation: Federation,
) -> None:
    (federation.workspace.kit("site-2") / "local" / "custom").mkdir()
    update_all(federation)
    values = values_of(federation.workspace, "site-2")
    assert values["kit"] == {"source": "image"}
    assert values["image"]["repository"] == "hospitals/site-2"
    assert "files" in values_of(federation.workspace, "site-1")["kit"]


@pytest.mark.parametrize(
    "kind", ["PRIVATE", "RSA PRIVATE", "EC PRIVATE", "ENCRYPTED PRIVATE", "OPENSSH PRIVATE"]
)
@pytest.mark.parametrize("name", ["backup.pem", "custom/notes.txt"])
def test_a_private_key_in_a_public_file_is_refused(federation: Federation, name: str, kind: str) -> None:
    file = federation.workspace.kit("site-1") / "local" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("marker-7\n" + PEM_KEY.format(kind, kind))
    with pytest.raises(InputError, match=rf"local/{name} holds a private key.*Move the file out of the kit"):
        update_all(federation)
    released = [
        one
        for one in (federation.workspace.release / "site-1").rglob("*")
        if one.is_file() and one.parent.name != "key"
    ]
    assert not [one for one in released if b"marker-7" in one.read_bytes()]


def test_files_with_the_name_of_a_secret_are_not_published(federation: Federation) -> None:
    for name in ("old.key", "site.p12"):
        (federation.workspace.kit("site-1") / "local" / name).write_text(PEM_KEY.format("PRIVATE", "PRIVATE"))
    update_all(federation)
    folder = federation.workspace.release / "site-1"
    assert {file.name for file in (folder / "key").iterdir()} == {"client.key", "old.key", "site.p12"}
    assert not {"old.key", "site.p12"} & {file.name for file in (folder / "kit").rglob("*")}
    assert "old.key" not in (folder / "values.yaml").read_text()


def test_the_compose_file_of_a_server_that_moves_to_this_machine_is_deleted(
    federation: Federation,
) -> None:
    project, workspace = federation.project, federation.workspace
    own = workspace.release / "site-2" / "compose.yaml"
    own.write_text("services: {}\n")
    server = project.server.model_copy(update={"default_host": "localhost"})
    update_releases(project.model_copy(update={"server": server}), workspace)
    assert not (workspace.release / "site-1" / "compose.yaml").exists()
    assert own.read_text() == "services: {}\n"


@pytest.mark.parametrize(
    "changed",
    [
        {"tracking": Tracking(receivers=["wandb"])},
        {"guard": Guard(task_timeout_seconds=60)},
        {"image": Image(tag="2.0.0")},
    ],
)
def test_changed_settings_of_the_federation_update_every_release(
    federation: Federation, changed: dict[str, object]
) -> None:
    project, workspace = federation.project, federation.workspace
    assert len(update_releases(project.model_copy(update=changed), workspace)) == 3


def test_a_file_system_without_hard_links_gets_copies(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    (federation.workspace.kit("site-1") / "local" / "added.txt").write_text("a note")
    monkeypatch.setattr(update.os, "link", refuse)
    assert update_all(federation) == ["site-1"]
    key = federation.workspace.release / "site-1" / "key" / "client.key"
    assert key.read_bytes() == (federation.workspace.kit("site-1") / "startup" / "client.key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_missing_kit_is_reported(provisioned: Federation, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"flare\.example\.org.*flarefleet provision"):
        update_releases(provisioned.project, Workspace(tmp_path))


def namespace(name: str) -> list[dict]:
    return [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]


@pytest.mark.parametrize(
    ("host", "address", "peers"),
    [
        ("198.51.100.7", None, [{"ipBlock": {"cidr": "198.51.100.7/32"}}]),
        ("flare.fed.svc", None, namespace("fed")),
        ("localhost", "flare-example-org.flare-example-org.svc:8443", namespace("flare-example-org")),
        ("fl.example.com", None, None),
    ],
)
def test_a_sites_network_policy_is_limited_to_the_servers_address_if_it_is_known(
    federation: Federation, host: str, address: str | None, peers: list | None
) -> None:
    project, workspace = federation.project, federation.workspace
    moved = project.model_copy(update={"server": project.server.model_copy(update={"default_host": host})})
    update_releases(moved, workspace)
    values = values_of(workspace, "site-2")
    assert values.get("server", {}).get("address") == address
    assert values["networkPolicy"]["server"].get("to") == peers

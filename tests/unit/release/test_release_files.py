"""What provisioning hands each participant for Helm."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
import yaml

from deploy.errors import InputError
from deploy.project import Project, load_project
from deploy.provision import provision
from deploy.release import write_release
from deploy.workspace import Workspace

PROJECT = """\
api_version: 3
name: hospitals
description: for tests
participants:
  - {name: flare.example.org, type: server, org: consortium, fed_learn_port: 8443, admin_port: 8444}
  - {name: site-1, type: client, org: county}
  - {name: site-2, type: client, org: city}
  - {name: admin@example.org, type: admin, org: consortium, role: project_admin}
builders:
  - path: nvflare.lighter.impl.workspace.WorkspaceBuilder
    args: {template_file: [master_template.yml]}
  - {path: nvflare.lighter.impl.static_file.StaticFileBuilder, args: {config_folder: config, scheme: http}}
  - path: nvflare.lighter.impl.cert.CertBuilder
  - path: nvflare.lighter.impl.signature.SignatureBuilder
deployment:
  image: {registry: registry.example.org/flare, tag: "1.2.3", variant: gpu}
  sites:
    site-1:
      namespace: county-flare
      gpus: 2
      storage: 200Gi
      launcher: pod
      resources: {limits: {memory: 8Gi}}
      datasets: {training: {claim: county-data, mode: ro}}
"""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Workspace]:
    """A provisioned federation."""
    folder = tmp_path_factory.mktemp("release")
    (folder / "project.yml").write_text(PROJECT)
    project = load_project(folder / "project.yml")
    workspace = Workspace(folder / "workspace" / project.name)
    provision(project, workspace)
    write_release(project, workspace)
    return project, workspace


def values_of(workspace: Workspace, name: str) -> dict:
    return yaml.safe_load((workspace.release / name / "values.yaml").read_text())


def test_the_values_say_what_project_yml_says_of_a_site(federation: tuple[Project, Workspace]) -> None:
    values = values_of(federation[1], "site-1")
    del values["kit"]
    assert values == {
        "site": {"name": "site-1", "project": "hospitals"},
        "image": {
            "registry": "registry.example.org/flare",
            "repository": "runtime",
            "tag": "1.2.3-gpu",
        },
        "key": {"existingSecret": "site-1-key"},
        "launcher": "pod",
        "gpus": 2,
        "persistence": {"size": "200Gi"},
        "resources": {"limits": {"memory": "8Gi"}},
        "datasets": {"training": {"claim": "county-data", "mode": "ro"}},
        "networkPolicy": {"server": {"ports": [8443]}},
    }


def test_the_servers_values_have_both_of_its_ports(federation: tuple[Project, Workspace]) -> None:
    values = values_of(federation[1], "flare.example.org")
    assert values["ports"] == {"federation": 8443, "admin": 8444}
    assert values["service"] == {"port": 8443, "adminPort": 8444}
    assert values["key"] == {"existingSecret": "flare-example-org-key"}


@pytest.mark.parametrize("name", ["flare.example.org", "site-1", "site-2"])
def test_the_kit_in_the_values_is_the_kit_to_the_byte(
    federation: tuple[Project, Workspace], name: str
) -> None:
    _, workspace = federation
    files = values_of(workspace, name)["kit"]["files"]
    assert {"rootCA.pem"} < files["startup"].keys()
    assert {"flarefleet.json", "resources.json.default"} < files["local"].keys()
    for folder, texts in files.items():
        for file, text in texts.items():
            assert text == (workspace.kit(name) / folder / file).read_text(), file


def test_the_private_key_is_in_the_secret_and_nowhere_else(federation: tuple[Project, Workspace]) -> None:
    _, workspace = federation
    file = workspace.release / "site-1" / "key-secret.yaml"
    secret = yaml.safe_load(file.read_text())
    key = (workspace.kit("site-1") / "startup" / "client.key").read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret["kind"] == "Secret"
    assert secret["metadata"]["name"] == "site-1-key"
    assert base64.b64decode(secret["data"]["client.key"]) == key
    for open_file in ("values.yaml", "INSTALL.md"):
        assert "PRIVATE KEY" not in (workspace.release / "site-1" / open_file).read_text()


def test_a_sites_folder_tells_nothing_of_another_site(federation: tuple[Project, Workspace]) -> None:
    _, workspace = federation
    for file in ("values.yaml", "key-secret.yaml", "INSTALL.md"):
        text = (workspace.release / "site-1" / file).read_text()
        assert "site-2" not in text
        assert "admin@example.org" not in text


def test_the_instructions_are_the_commands_for_that_site(federation: tuple[Project, Workspace]) -> None:
    text = (federation[1].release / "site-1" / "INSTALL.md").read_text()
    assert "kubectl apply -n county-flare -f key-secret.yaml" in text
    assert "helm install site-1 helm/flare-client -n county-flare -f values.yaml" in text
    assert "flare.example.org:8443" in text
    assert "county-data" in text
    server = (federation[1].release / "flare.example.org" / "INSTALL.md").read_text()
    assert "helm install flare-example-org helm/flare-server -n flare-example-org -f values.yaml" in server


def test_a_second_run_writes_nothing(federation: tuple[Project, Workspace]) -> None:
    project, workspace = federation
    before = {file: file.stat().st_mtime_ns for file in workspace.release.rglob("*")}
    assert write_release(project, workspace).written == ()
    assert {file: file.stat().st_mtime_ns for file in workspace.release.rglob("*")} == before


def test_what_somebody_changed_is_written_anew(federation: tuple[Project, Workspace]) -> None:
    project, workspace = federation
    file = workspace.release / "site-2" / "values.yaml"
    right = file.read_bytes()
    file.write_text("site: {name: other}\n")
    (workspace.release / "site-1" / "key-secret.yaml").chmod(0o644)
    assert write_release(project, workspace).written == ("site-2",)
    assert file.read_bytes() == right
    assert (workspace.release / "site-1" / "key-secret.yaml").stat().st_mode & 0o777 == 0o600


def test_a_kit_that_values_cannot_carry_is_taken_from_the_sites_own_image(
    federation: tuple[Project, Workspace], tmp_path: Path
) -> None:
    project, workspace = federation
    elsewhere = Workspace(tmp_path)
    shutil.copytree(workspace.kits, elsewhere.kits)
    (elsewhere.kit("site-2") / "local" / "custom").mkdir()
    write_release(project, elsewhere)
    values = values_of(elsewhere, "site-2")
    assert values["kit"] == {"source": "image"}
    assert values["image"]["repository"] == "hospitals/site-2"
    assert "files" in values_of(elsewhere, "site-1")["kit"]


def test_a_missing_kit_is_named(federation: tuple[Project, Workspace], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"flare\.example\.org.*flarefleet provision"):
        write_release(federation[0], Workspace(tmp_path))


@pytest.mark.parametrize(
    ("host", "address", "peers"),
    [
        ("198.51.100.7", None, [{"ipBlock": {"cidr": "198.51.100.7/32"}}]),
        (
            "flare.fed.svc",
            None,
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "fed"}}}],
        ),
        (
            "localhost",
            "flare-example-org.flare-example-org.svc:8443",
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "flare-example-org"}}}],
        ),
        ("fl.example.com", None, None),
    ],
)
def test_a_site_is_let_out_to_the_server_as_narrowly_as_its_address_is_known(
    federation: tuple[Project, Workspace],
    tmp_path: Path,
    host: str,
    address: str | None,
    peers: list | None,
) -> None:
    project, workspace = federation
    moved = project.model_copy(update={"server": project.server.model_copy(update={"default_host": host})})
    elsewhere = Workspace(tmp_path)
    elsewhere.kits.symlink_to(workspace.kits)
    write_release(moved, elsewhere)
    values = values_of(elsewhere, "site-2")
    assert values.get("server", {}).get("address") == address
    assert values["networkPolicy"]["server"].get("to") == peers

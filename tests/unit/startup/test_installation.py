"""Installing a kit into a workspace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fl_app.checks.exit_codes import StartupError
from fl_app.checks.kit import Kit, KitFacts, ServerFacts
from fl_app.startup.installation import install_kit
from fl_app.startup.settings import Settings


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    folder = tmp_path / "kit"
    (folder / "startup").mkdir(parents=True)
    (folder / "local" / "custom").mkdir(parents=True)
    service = {"service": {"target": "flare.example.org:8002", "scheme": "http"}}
    (folder / "startup" / "fed_client.json").write_text(json.dumps({"servers": [service]}))
    for name in ("client.crt", "client.key", "rootCA.pem", "start.sh"):
        (folder / "startup" / name).write_text(name)
    (folder / "local" / "custom" / "more.py").write_text("x = 1\n")
    (folder / "local" / "resources.json.default").write_text(
        json.dumps({"store": "/var/lib/flare/jobs", "root": "/var/lib/flare", "other": "/var/lib/flarefleet"})
    )
    server = ServerFacts(name="server", host="flare.example.org", fed_learn_port=8002, admin_port=8002)
    releases = {"nvflare": "2.9.0", "flarefleet": "1"}
    facts = KitFacts(project="clinics", name="site-1", role="client", org="nv", server=server, **releases)
    return Kit(folder, facts, folder / "startup" / "client.key")


def install(kit: Kit, **fields: Any) -> Path:
    """Install the kit into a workspace beside it, and return the workspace."""
    workspace = kit.folder.parent / "ws"
    workspace.mkdir(exist_ok=True)
    install_kit(kit, Settings(workspace=workspace, parent_port=18102, **fields))
    return workspace


def document(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text()))


def test_a_kit_is_installed_with_private_files_a_linked_key_and_paths_of_the_workspace(kit: Kit) -> None:
    workspace = install(kit)

    assert document(workspace / "local" / "resources.json.default") == {
        "store": str(workspace / "jobs"),
        "root": str(workspace),
        "other": "/var/lib/flarefleet",
    }
    startup = workspace / "startup"
    assert (startup / "client.key").readlink() == kit.key
    names = sorted(file.name for file in startup.iterdir())
    assert names == ["client.crt", "client.key", "fed_client.json", "rootCA.pem"], "no shell scripts"
    files = [file for file in workspace.rglob("*") if file.is_file() and not file.is_symlink()]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert document(workspace / "comm_config.json") == {
        "internal": {"scheme": "tcp", "resources": {"host": "127.0.0.1", "port": 18102}}
    }


def test_only_the_port_of_the_kits_communication_settings_changes(kit: Kit) -> None:
    internal = {"scheme": "grpc", "resources": {"host": "site-1-svc", "port": 8102}}
    (kit.local / "comm_config.json").write_text(json.dumps({"backbone_conn_gen": 2, "internal": internal}))

    assert document(install(kit) / "local" / "comm_config.json") == {
        "backbone_conn_gen": 2,
        "internal": {"scheme": "grpc", "resources": {"host": "site-1-svc", "port": 18102}},
    }


@pytest.mark.parametrize(
    ("address", "target"), [(None, "flare.example.org:8002"), (("10.0.0.7", 9000), "10.0.0.7:9000")]
)
def test_the_server_address_of_the_settings_overrides_the_kits(
    kit: Kit, address: tuple[str, int] | None, target: str
) -> None:
    client = document(install(kit, server_address=address) / "startup" / "fed_client.json")

    assert client["servers"][0]["service"]["target"] == target


def test_a_sites_own_resources_override_the_default(kit: Kit) -> None:
    (kit.local / "resources.json").write_text('{"mine": true}')

    assert document(install(kit) / "resources.json") == {"mine": True}


def test_a_second_installation_removes_old_files_but_keeps_job_data(kit: Kit) -> None:
    workspace = install(kit)
    (workspace / "local" / "old.json").write_text("{}")
    (workspace / "jobs").mkdir()

    install(kit)

    assert not (workspace / "local" / "old.json").exists()
    assert (workspace / "jobs").is_dir()


def test_the_hidden_folders_of_a_mounted_configmap_are_ignored(kit: Kit) -> None:
    """Kubernetes mounts each file as a link into a hidden folder."""
    hidden = kit.local / "..2026_11_23"
    hidden.mkdir()
    (hidden / "privacy.json").write_text("{}")
    (kit.local / "..data").symlink_to(hidden.name)
    (kit.local / "privacy.json").symlink_to("..data/privacy.json")

    local = install(kit) / "local"

    assert document(local / "privacy.json") == {}
    assert not any(file.name.startswith("..") for file in local.iterdir())


def test_a_file_that_is_not_json_is_rejected_with_its_name(kit: Kit) -> None:
    (kit.local / "privacy.json").write_text("{")

    with pytest.raises(StartupError, match=r"privacy\.json is not JSON"):
        install(kit)


def test_a_parent_without_job_pods_does_not_import_their_settings() -> None:
    """They would build pydantic models that the parent does not need."""
    program = "import fl_app.startup.parent, sys; print('fl_app.launchers.pod_settings' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

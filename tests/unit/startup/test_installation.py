"""Installing a kit into a workspace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fl_app.startup.exit_codes import StartupError
from fl_app.startup.facts import KitFacts, ServerFacts
from fl_app.startup.installation import install_kit
from fl_app.startup.kit import Kit
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
    facts = KitFacts(
        project="clinics",
        name="site-1",
        role="client",
        org="nv",
        nvflare="2.9.0",
        flarefleet="1",
        server=ServerFacts(
            name="flare-server", host="flare.example.org", fed_learn_port=8002, admin_port=8002
        ),
    )
    return Kit(folder, facts, folder / "startup" / "client.key")


def settings(tmp_path: Path, **fields: Any) -> Settings:
    workspace = tmp_path / "ws"
    workspace.mkdir(exist_ok=True)
    return Settings(workspace=workspace, parent_port=18102, **fields)


def document(file: Path) -> dict[str, object]:
    return dict(json.loads(file.read_text()))


def test_only_paths_on_the_workspace_volume_are_relocated(kit: Kit, tmp_path: Path) -> None:
    install_kit(kit, settings(tmp_path))

    workspace = tmp_path / "ws"
    assert document(workspace / "local" / "resources.json.default") == {
        "store": str(workspace / "jobs"),
        "root": str(workspace),
        "other": "/var/lib/flarefleet",
    }


def test_the_key_is_linked_and_shell_scripts_are_not_installed(kit: Kit, tmp_path: Path) -> None:
    install_kit(kit, settings(tmp_path))

    startup = tmp_path / "ws" / "startup"
    assert (startup / "client.key").readlink() == kit.key
    assert sorted(file.name for file in startup.iterdir()) == [
        "client.crt",
        "client.key",
        "fed_client.json",
        "rootCA.pem",
    ]


def test_every_file_is_private(kit: Kit, tmp_path: Path) -> None:
    install_kit(kit, settings(tmp_path))

    for file in (tmp_path / "ws").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert file.stat().st_mode & 0o777 == 0o600, file


def test_only_the_port_of_the_kits_communication_settings_changes(kit: Kit, tmp_path: Path) -> None:
    internal = {"scheme": "grpc", "resources": {"host": "site-1-svc", "port": 8102}}
    (kit.local / "comm_config.json").write_text(json.dumps({"backbone_conn_gen": 2, "internal": internal}))

    install_kit(kit, settings(tmp_path))

    assert document(tmp_path / "ws" / "local" / "comm_config.json") == {
        "backbone_conn_gen": 2,
        "internal": {"scheme": "grpc", "resources": {"host": "site-1-svc", "port": 18102}},
    }


def test_a_parent_listens_on_loopback_by_default(kit: Kit, tmp_path: Path) -> None:
    install_kit(kit, settings(tmp_path))

    assert document(tmp_path / "ws" / "comm_config.json") == {
        "internal": {"scheme": "tcp", "resources": {"host": "127.0.0.1", "port": 18102}}
    }


def test_the_server_address_of_the_settings_overrides_the_kits(kit: Kit, tmp_path: Path) -> None:
    def target() -> object:
        found = json.loads((tmp_path / "ws" / "startup" / "fed_client.json").read_text())
        return found["servers"][0]["service"]["target"]

    install_kit(kit, settings(tmp_path))
    assert target() == "flare.example.org:8002"

    install_kit(kit, settings(tmp_path, server_address=("10.0.0.7", 9000)))
    assert target() == "10.0.0.7:9000"


def test_a_sites_own_resources_override_the_default(kit: Kit, tmp_path: Path) -> None:
    (kit.local / "resources.json").write_text('{"mine": true}')

    install_kit(kit, settings(tmp_path))

    assert document(tmp_path / "ws" / "resources.json") == {"mine": True}


def test_a_second_installation_removes_old_files_but_keeps_job_data(kit: Kit, tmp_path: Path) -> None:
    install_kit(kit, settings(tmp_path))
    (tmp_path / "ws" / "local" / "old.json").write_text("{}")
    (tmp_path / "ws" / "jobs").mkdir()

    install_kit(kit, settings(tmp_path))

    assert not (tmp_path / "ws" / "local" / "old.json").exists()
    assert (tmp_path / "ws" / "jobs").is_dir()


def test_the_hidden_folders_of_a_mounted_configmap_are_ignored(kit: Kit, tmp_path: Path) -> None:
    """Kubernetes mounts each file as a link into a hidden folder."""
    hidden = kit.local / "..2026_11_23"
    hidden.mkdir()
    (hidden / "privacy.json").write_text("{}")
    (kit.local / "..data").symlink_to(hidden.name)
    (kit.local / "privacy.json").symlink_to("..data/privacy.json")

    install_kit(kit, settings(tmp_path))

    local = tmp_path / "ws" / "local"
    assert document(local / "privacy.json") == {}
    assert not any(file.name.startswith("..") for file in local.iterdir())


def test_a_file_that_is_not_json_is_rejected_with_its_name(kit: Kit, tmp_path: Path) -> None:
    (kit.local / "privacy.json").write_text("{")

    with pytest.raises(StartupError, match=r"privacy\.json is not JSON"):
        install_kit(kit, settings(tmp_path))


def test_a_parent_without_job_pods_does_not_import_their_settings() -> None:
    """They would build pydantic models that the parent does not need."""
    program = "import fl_app.startup.parent, sys; print('fl_app.launchers.pod_settings' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

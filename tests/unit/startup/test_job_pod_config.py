"""The configuration of a parent whose jobs run in pods."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.installation import install_kit
from fl_app.startup.job_pod_config import JobPodConfig
from fl_app.startup.kit import Kit
from tests.unit.startup.test_installation import document, kit, settings

__all__ = ["kit"]

LAUNCHER = {
    "namespace": "flare-site-1",
    "owner": {"apiVersion": "v1", "kind": "ConfigMap", "name": "site-1-jobs"},
    "labels": {"app.kubernetes.io/instance": "site-1"},
    "parent": {"host": "site-1-headless", "port": 18102},
    "gpu_resource": "nvidia.com/gpu",
    "ephemeral_storage": "10Gi",
    "start_timeout_seconds": 60,
}
GPU_MANAGER = "nvflare.app_common.resource_managers.gpu_resource_manager.GPUResourceManager"


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "launcher.yaml").write_text(yaml.safe_dump(LAUNCHER))
    (folder / "study_runtime.yaml").write_text("format_version: 2\n")
    return folder


def write_resources(kit: Kit, manager: str) -> None:
    components = (
        '{"id": "process_launcher", "path": "fl_app.launchers.process.ClientJobLauncher", "args": {}},'
        f'{{"id": "resource_manager", "path": "{manager}", "args": {{"num_of_gpus": 0}}}}'
    )
    (kit.local / "resources.json.default").write_text(f'{{"components": [{components}]}}')


def components(workspace: Path) -> dict[str, str]:
    found = document(workspace / "local" / "resources.json.default")["components"]
    assert isinstance(found, list)
    return {one["id"]: one["path"] for one in found}


def test_the_pod_launcher_replaces_the_process_launcher_and_the_gpu_manager(
    kit: Kit, jobs: Path, tmp_path: Path
) -> None:
    write_resources(kit, GPU_MANAGER)
    install_kit(kit, settings(tmp_path, jobs=jobs))
    made = components(tmp_path / "ws")
    assert made["process_launcher"] == "fl_app.launchers.pods.ClientPodLauncher"
    assert made["resource_manager"].endswith(".PassthroughResourceManager")
    assert (tmp_path / "ws" / "local" / "study_runtime.yaml").read_text() == "format_version: 2\n"


def test_a_sites_own_resource_manager_is_kept(kit: Kit, jobs: Path, tmp_path: Path) -> None:
    write_resources(kit, "site.Custom")
    install_kit(kit, settings(tmp_path, jobs=jobs))
    assert components(tmp_path / "ws")["resource_manager"] == "site.Custom"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "fl_app.guard.job_manager.JobManager",
            "fl_app.launchers.pending_jobs.PendingJobs",
        ),
        ("site.Custom", "site.Custom"),
    ],
)
def test_only_the_kits_own_job_manager_is_replaced(jobs: Path, path: str, expected: str) -> None:
    original = {"id": "job_manager", "path": path, "args": {"uri_root": "/jobs"}}
    made, _launcher = JobPodConfig(jobs).resources({"components": [original]}, "server")["components"]
    assert made == {**original, "path": expected}


def test_job_pods_connect_to_their_parent_over_tls(kit: Kit, jobs: Path, tmp_path: Path) -> None:
    write_resources(kit, GPU_MANAGER)
    install_kit(kit, settings(tmp_path, jobs=jobs))
    internal = document(tmp_path / "ws" / "comm_config.json")["internal"]
    assert internal == {
        "scheme": "tcp",
        "resources": {"host": "site-1-headless", "connection_security": "tls", "port": 18102},
    }


def test_without_job_pods_the_parent_listens_on_loopback(kit: Kit, tmp_path: Path) -> None:
    write_resources(kit, GPU_MANAGER)
    install_kit(kit, settings(tmp_path))
    assert components(tmp_path / "ws")["process_launcher"] == "fl_app.launchers.process.ClientJobLauncher"
    internal = document(tmp_path / "ws" / "comm_config.json")["internal"]
    assert isinstance(internal, dict)
    assert internal["resources"]["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "namespace: x\n", "[", "- a\n", yaml.safe_dump({**LAUNCHER, "more": 1})]
)
def test_invalid_settings_of_job_pods_are_rejected(kit: Kit, jobs: Path, tmp_path: Path, text: str) -> None:
    (jobs / "launcher.yaml").write_text(text)
    with pytest.raises(StartupError, match=r"launcher: pod: .*launcher\.yaml is invalid") as raised:
        install_kit(kit, settings(tmp_path, jobs=jobs))
    assert raised.value.exit_code is Exit.CONFIGURATION

"""The configuration of a parent whose jobs run in pods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.checks.kit import Kit
from fl_app.startup.job_pod_config import JobPodConfig
from tests.unit.startup.test_installation import document, install, kit

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
MANAGERS = "nvflare.app_common.resource_managers"
GPU_MANAGER = f"{MANAGERS}.gpu_resource_manager.GPUResourceManager"
PASSTHROUGH_MANAGER = f"{MANAGERS}.passthrough_resource_manager.PassthroughResourceManager"


KIT_JOB_MANAGER = "fl_app.survival.job_manager.JobManager"


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "launcher.yaml").write_text(yaml.safe_dump(LAUNCHER))
    (folder / "study_runtime.yaml").write_text("format_version: 2\n")
    return folder


def installed_components(kit: Kit, jobs: Path, manager: str) -> dict[str, str]:
    """Install a kit with this resource manager, and return the components of its parent."""
    components = [
        {"id": "process_launcher", "path": "fl_app.launchers.process.ClientJobLauncher", "args": {}},
        {"id": "resource_manager", "path": manager, "args": {"num_of_gpus": 0}},
    ]
    (kit.local / "resources.json.default").write_text(json.dumps({"components": components}))
    installed = document(install(kit, jobs=jobs) / "local" / "resources.json.default")
    return {one["id"]: one["path"] for one in installed["components"]}


@pytest.mark.parametrize(
    ("manager", "expected"), [(GPU_MANAGER, PASSTHROUGH_MANAGER), ("site.Custom", "site.Custom")]
)
def test_the_pod_launcher_replaces_the_process_launcher_and_nvflares_gpu_manager(
    kit: Kit, jobs: Path, manager: str, expected: str
) -> None:
    assert installed_components(kit, jobs, manager) == {
        "process_launcher": "fl_app.launchers.pods.ClientPodLauncher",
        "resource_manager": expected,
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [(KIT_JOB_MANAGER, "fl_app.launchers.pending_jobs.PendingJobs"), ("site.Custom", "site.Custom")],
)
def test_only_the_kits_own_job_manager_is_replaced(jobs: Path, path: str, expected: str) -> None:
    original = {"id": "job_manager", "path": path, "args": {"uri_root": "/jobs"}}
    made, _launcher = JobPodConfig(jobs).resources({"components": [original]}, "server")["components"]
    assert made == {**original, "path": expected}


def test_job_pods_connect_to_their_parent_over_tls_and_find_their_study_runtime(kit: Kit, jobs: Path) -> None:
    workspace = install(kit, jobs=jobs)

    assert document(workspace / "comm_config.json")["internal"] == {
        "scheme": "tcp",
        "resources": {"host": "site-1-headless", "connection_security": "tls", "port": 18102},
    }
    assert (workspace / "local" / "study_runtime.yaml").read_text() == "format_version: 2\n"


@pytest.mark.parametrize(
    "text", ["", "namespace: x\n", "[", "- a\n", yaml.safe_dump({**LAUNCHER, "more": 1})]
)
def test_invalid_settings_of_job_pods_are_rejected_in_one_line(kit: Kit, jobs: Path, text: str) -> None:
    (jobs / "launcher.yaml").write_text(text)
    with pytest.raises(StartupError, match=r"^launcher: pod: .*launcher\.yaml is invalid.*$") as raised:
        install(kit, jobs=jobs)
    assert raised.value.exit_code is Exit.CONFIGURATION
    assert "\n" not in str(raised.value)

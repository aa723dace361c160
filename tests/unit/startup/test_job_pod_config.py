"""How a parent is laid out whose jobs run in pods of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fl_app.startup.layout import lay_out
from fl_app.startup.pods import JobPods

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.kit import Kit
from tests.unit.startup.test_layout import document, kit, settings

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


def test_one_launcher_takes_the_place_of_the_other_and_kubernetes_counts_the_gpus(
    kit: Kit, jobs: Path, tmp_path: Path
) -> None:
    write_resources(kit, GPU_MANAGER)
    lay_out(kit, settings(tmp_path, FLARE_JOBS=str(jobs)))
    made = components(tmp_path / "ws")
    assert made["process_launcher"] == "fl_app.launchers.pods.ClientPodLauncher"
    assert made["resource_manager"].endswith(".PassthroughResourceManager")
    assert (tmp_path / "ws" / "local" / "study_runtime.yaml").read_text() == "format_version: 2\n"


def test_a_resource_manager_of_a_sites_own_stays(kit: Kit, jobs: Path, tmp_path: Path) -> None:
    write_resources(kit, "site.Own")
    lay_out(kit, settings(tmp_path, FLARE_JOBS=str(jobs)))
    assert components(tmp_path / "ws")["resource_manager"] == "site.Own"


@pytest.mark.parametrize(
    ("path", "becomes"),
    [
        (
            "nvflare.apis.impl.job_def_manager.SimpleJobDefManager",
            "fl_app.launchers.pending_jobs.PendingJobs",
        ),
        ("site.Own", "site.Own"),
    ],
)
def test_nvflares_list_of_jobs_tells_what_they_wait_for_and_one_of_a_sites_own_stays(
    jobs: Path, path: str, becomes: str
) -> None:
    of_kit = {"id": "job_manager", "path": path, "args": {"uri_root": "/jobs"}}
    made, _launcher = JobPods(jobs).resources({"components": [of_kit]}, "server")["components"]
    assert made == {**of_kit, "path": becomes}


def test_job_pods_find_their_parent_and_know_it(kit: Kit, jobs: Path, tmp_path: Path) -> None:
    write_resources(kit, GPU_MANAGER)
    lay_out(kit, settings(tmp_path, FLARE_JOBS=str(jobs)))
    internal = document(tmp_path / "ws" / "comm_config.json")["internal"]
    assert internal == {
        "scheme": "tcp",
        "resources": {"host": "site-1-headless", "connection_security": "tls", "port": 18102},
    }


def test_without_pods_nobody_but_this_host_reaches_the_parent(kit: Kit, tmp_path: Path) -> None:
    write_resources(kit, GPU_MANAGER)
    lay_out(kit, settings(tmp_path))
    assert components(tmp_path / "ws")["process_launcher"] == "fl_app.launchers.process.ClientJobLauncher"
    internal = document(tmp_path / "ws" / "comm_config.json")["internal"]
    assert isinstance(internal, dict)
    assert internal["resources"]["host"] == "127.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "namespace: x\n", "[", "- a\n", yaml.safe_dump({**LAUNCHER, "more": 1})]
)
def test_a_damaged_description_of_job_pods_is_said(kit: Kit, jobs: Path, tmp_path: Path, text: str) -> None:
    (jobs / "launcher.yaml").write_text(text)
    with pytest.raises(
        StartupError, match=r"launcher: pod: .*launcher\.yaml is not what the chart writes"
    ) as error:
        lay_out(kit, settings(tmp_path, FLARE_JOBS=str(jobs)))
    assert error.value.exit_code is Exit.CONFIGURATION

"""What a parent does about the pods of its jobs, with a fake cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from nvflare.apis.fl_constant import FLContextKey, JobConstants, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.workspace import Workspace

from fl_app.guard.site_error import SiteError
from fl_app.launchers import pods
from fl_app.launchers.namespace import JobNamespace
from fl_app.launchers.pod_settings import SETTINGS_FILE, LauncherSettings
from fl_app.launchers.pods import ClientPodLauncher

SETTINGS = {
    "namespace": "clinics",
    "owner": {"apiVersion": "v1", "kind": "ConfigMap", "name": "site-1-jobs"},
    "labels": {"release": "site-1"},
    "parent": {"host": "site-1-headless", "port": 8102},
    "gpu_resource": "nvidia.com/gpu",
    "ephemeral_storage": "1Gi",
    "start_timeout_seconds": 60,
}


class Cluster:
    """A namespace with a pod of an earlier parent."""

    def __init__(self) -> None:
        self.deleted: list[Mapping[str, str]] = []

    def delete_pods(self, labels: Mapping[str, str]) -> list[str]:
        self.deleted.append(labels)
        return ["j1-site-1"]

    def owner_reference(self, owner: Any) -> dict[str, Any]:
        return {"uid": "1234"}


def test_a_parent_deletes_the_pods_of_an_earlier_parent_once_before_its_first_launch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / SETTINGS_FILE).write_text(yaml.safe_dump(SETTINGS))
    cluster = Cluster()
    monkeypatch.setattr(JobNamespace, "connect", lambda namespace: cluster)
    launcher = ClientPodLauncher(str(tmp_path))
    for _ in range(2):
        launcher._connect()
    assert cluster.deleted == [{"release": "site-1"}]


def test_the_settings_of_the_project_reach_the_pods_of_jobs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / SETTINGS_FILE).write_text(yaml.safe_dump(SETTINGS))
    for folder in ("startup", "local"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("FLARE_SURVIVAL", "false")
    monkeypatch.setenv("FLARE_GUARD_RULES", "untrained=warn")
    monkeypatch.setenv("FLARE_TRACKING", "mlflow")
    monkeypatch.setattr(ClientPodLauncher, "get_module_args", lambda self, job_id, fl_ctx: {})
    monkeypatch.setattr(pods, "push_environment", lambda job_id: {})
    monkeypatch.setattr(pods, "startup_without_key", lambda folder, role: {})
    fl_ctx = FLContext()
    for name, value in (
        (ReservedKey.IDENTITY_NAME, "site-1"),
        (FLContextKey.JOB_PROCESS_ARGS, {}),
        (FLContextKey.ARGS, SimpleNamespace(set=[])),
    ):
        fl_ctx.set_prop(name, value, private=True, sticky=False)
    job = {JobConstants.JOB_ID: "0b0e8f6a-6a31-4c0f-9d8b-3f7f9f0f2f11"}

    plan = ClientPodLauncher(str(tmp_path))._plan(
        job, fl_ctx, Workspace(str(tmp_path), site_name="site-1"), LauncherSettings.read(tmp_path)
    )

    settings = {name: value for name, value in plan.environment.items() if name.startswith("FLARE_")}
    assert settings == {"FLARE_SURVIVAL": "false", "FLARE_GUARD_RULES": "untrained=warn"}


@pytest.mark.parametrize("is_aborted", [False, True])
def test_the_server_learns_at_once_why_the_pod_of_a_site_failed(
    is_aborted: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[tuple[str, SiteError]] = []
    written: list[str] = []
    monkeypatch.setattr(pods, "tell_server", lambda engine, job_id, error: told.append((job_id, error)))
    monkeypatch.setattr(pods, "append_error", lambda workspace, job_id, source, text: written.append(text))
    monkeypatch.setattr(pods, "is_abort_requested", lambda engine, job_id: is_aborted)

    ClientPodLauncher(str(tmp_path)).report_failure(Any, "a-job", "its pod failed with exit code 3: x", Any)

    error = SiteError("its pod failed with exit code 3: x", ends_site=True)
    assert told == ([] if is_aborted else [("a-job", error)])
    assert written == ["its pod failed with exit code 3: x"]


def test_results_that_wait_for_space_are_told_once_until_the_job_has_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(pods, "record", lambda engine, job_id, what: told.append((job_id, what.line)))
    launcher, ended = ClientPodLauncher(str(tmp_path)), list[str]()
    transfer = SimpleNamespace(remove_job=ended.append)

    assert [launcher._results_wait(None, "site-1", "j1", "has 0 bytes free") for _ in range(2)] == [True] * 2
    launcher._finished(transfer, "j1")

    text = "the results of its job process wait for disk space: the volume of site-1 has 0 bytes free"
    assert told == [("j1", f"site-1: {text}; free space on it")]
    assert ended == ["j1"]
    assert not launcher._waiting

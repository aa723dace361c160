"""The pods of an earlier parent, with a fake cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from fl_app.launchers.namespace import JobNamespace
from fl_app.launchers.pod_settings import SETTINGS_FILE
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

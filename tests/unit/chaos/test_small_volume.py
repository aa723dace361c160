"""The small volume of a cluster, which a row of full disks makes larger for a while."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.chaos import kubernetes
from benchmarks.chaos.kubernetes import Kubernetes

MOUNTS = (
    "overlay / overlay rw,size=1k 0 0\ntmpfs /var/lib/volumes/tiny tmpfs rw,nosuid,size=65536k,inode64 0 0\n"
)


def test_the_small_volume_of_each_node_gets_its_former_size_back_after_the_namespaces_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        if "mount" in command:
            done.append(" ".join(command[2:]))
        return SimpleNamespace(stdout=MOUNTS)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(kubernetes, "_nodes_for_pods", lambda: {"worker-1": {}, "worker-2": {}})
    monkeypatch.setattr(kubernetes, "kubectl", lambda *words, **_: done.append(" ".join(words[:2])))
    federation = Kubernetes.__new__(Kubernetes)
    federation.parts = ("flare-server", "site-1")

    federation.mount("site-1")
    federation.close()

    grown = [f"{node} mount -o remount,size=96m /var/lib/volumes/tiny" for node in ("worker-1", "worker-2")]
    back = [one.replace("96m", "65536k") for one in grown]
    assert done == [*grown, "create namespace", "create -f", "delete namespace", *back]

"""The Kubernetes client: its import, and conflicting requests to the API server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic import BaseModel

from deploy.errors import InputError
from deploy.runtimes.kubernetes.namespaces import ensure_namespace, remove_if_empty
from deploy.runtimes.kubernetes.plan import ReleaseTarget


def test_the_clients_objects_are_not_pydantic_models() -> None:
    """Version 36 and later compile a model for each at import, which takes more than a second."""
    assert not issubclass(client.V1Pod, BaseModel)


class Namespaces:
    """The API server's namespaces. Each of two callers reads before either creates."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self._first_read = Barrier(2, timeout=5)
        self._reads = 0

    def read_namespace(self, name: str) -> Any:
        found = self.items.get(name)
        self._reads += 1
        if self._reads <= 2:
            self._first_read.wait()
        if found is None:
            raise ApiException(404)
        return found

    def create_namespace(self, manifest: dict[str, Any]) -> Any:
        metadata = SimpleNamespace(**manifest["metadata"])
        if metadata.name in self.items:
            raise ApiException(409)
        namespace = SimpleNamespace(metadata=metadata, status=SimpleNamespace(phase="Active"))
        return self.items.setdefault(metadata.name, namespace)

    def delete_namespace(self, name: str) -> None:
        if self.items[name].status.phase == "Terminating":
            raise ApiException(409)
        self.items[name].status.phase = "Terminating"

    def __getattr__(self, verb: str) -> Any:
        """Lists of everything else are empty."""
        return lambda *_, **__: SimpleNamespace(items=[])


def target(name: str) -> ReleaseTarget:
    return ReleaseTarget(name=name, role="client", context="fed", namespace="shared", release=name)


def ensure_both(cluster: Any, *projects: str) -> None:
    """Ensure the namespace for two participants at the same time."""
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(ensure_namespace, cluster, target(f"site-{n}"), project, "authority")
            for n, project in enumerate(projects)
        ]
    for call in calls:
        call.result()


def test_two_participants_may_share_a_namespace() -> None:
    cluster: Any = SimpleNamespace(core=Namespaces())

    ensure_both(cluster, "clinics", "clinics")
    for name in ("site-0", "site-1"):
        remove_if_empty(cluster, target(name))

    assert cluster.core.items["shared"].status.phase == "Terminating"


def test_a_namespace_that_another_federation_creates_at_the_same_time_is_rejected() -> None:
    with pytest.raises(InputError, match="The namespace shared in fed belongs to the federation"):
        ensure_both(SimpleNamespace(core=Namespaces()), "clinics", "hospitals")

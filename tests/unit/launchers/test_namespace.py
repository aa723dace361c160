"""Retries and errors of the Kubernetes API."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.rest import ApiException

from fl_app.launchers import namespace as module
from fl_app.launchers.namespace import JobNamespace, RejectedError

POD = {"metadata": {"name": "job"}}


class Api:
    """Returns or raises one of `answers` for each call, and records deletions."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.deleted: list[str] = []
        self.owned: list[str] = []

    def create_namespaced_pod(self, **_: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def list_namespaced_pod(self, **_: Any) -> Any:
        """:return: V1PodList"""
        raise api_error(504, "Too large resource version")

    def read_namespaced_pod(self, **_: Any) -> Any:
        return self.create_namespaced_pod()

    def delete_namespaced_pod(self, name: str, **_: Any) -> None:
        self.deleted.append(name)
        raise api_error(404, "not found")

    def patch_namespaced_secret(self, name: str, body: dict[str, Any], **_: Any) -> None:
        self.owned.append(body["metadata"]["ownerReferences"][0]["uid"])


CREATED = SimpleNamespace(metadata=SimpleNamespace(uid="1234"))


def api_error(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="no")
    error.body = json.dumps({"message": message})
    return error


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)


def test_a_temporary_error_is_retried() -> None:
    api = Api(api_error(503, "later"), api_error(429, "slowly"), CREATED)
    assert JobNamespace(api, "ns").create_pod(POD, "job") == "1234"
    assert api.owned == ["1234"]


def test_a_rejected_pod_is_not_retried() -> None:
    api = Api(api_error(403, 'pods "job" is forbidden: exceeded quota: few'))
    with pytest.raises(RejectedError, match="exceeded quota: few"):
        JobNamespace(api, "ns").create_pod(POD, "job")
    assert api.answers == []


def test_an_existing_pod_of_the_same_name_is_replaced() -> None:
    api = Api(api_error(409, "already exists"), CREATED)
    JobNamespace(api, "ns").create_pod(POD, "job")
    assert api.deleted == ["job"]


def test_an_existing_pod_that_cannot_be_deleted_is_a_rejection() -> None:
    api = Api(*[api_error(409, "already exists")] * 5)
    with pytest.raises(RejectedError, match="already exists"):
        JobNamespace(api, "ns").create_pod(POD, "job")


def test_a_pod_is_read_if_it_cannot_be_watched() -> None:
    assert watched(Api(CREATED)) == [CREATED]
    assert watched(Api(api_error(404, "not found"))) == [None]
    assert watched(Api(*[api_error(503, "away")] * 5)) == [], "unknown is not deleted"


def watched(api: Api, uid: str = "1234") -> list[Any]:
    return list(JobNamespace(api, "ns").watch_pod("job", uid, 3))


def test_a_pod_of_the_same_name_is_another_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache of the API server may still contain the predecessor of a pod that was created again."""
    assert watched(Api(CREATED), "5678") == [None]
    changes = [{"type": kind, "object": CREATED} for kind in ("ADDED", "MODIFIED", "DELETED")]
    stream = SimpleNamespace(stream=lambda *_, **__: iter(changes))
    monkeypatch.setattr("kubernetes.watch.Watch", lambda: stream)
    new = SimpleNamespace(metadata=SimpleNamespace(uid="5678"))
    assert watched(Api(new), "5678") == [new]
    assert watched(Api(CREATED)) == [CREATED, CREATED, None, CREATED]

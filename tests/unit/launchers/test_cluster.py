"""What is asked of Kubernetes again, and what is not."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client.rest import ApiException

from fl_app.launchers import cluster as module
from fl_app.launchers.cluster import Cluster, RefusedError

POD = {"metadata": {"name": "job"}}


class Api:
    """Answers `create` with one of `answers` after the other, and counts what is removed."""

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
        raise refusal(504, "Too large resource version")

    def read_namespaced_pod(self, **_: Any) -> Any:
        return self.create_namespaced_pod()

    def delete_namespaced_pod(self, name: str, **_: Any) -> None:
        self.deleted.append(name)
        raise refusal(404, "not found")

    def patch_namespaced_secret(self, name: str, body: dict[str, Any], **_: Any) -> None:
        self.owned.append(body["metadata"]["ownerReferences"][0]["uid"])


CREATED = SimpleNamespace(metadata=SimpleNamespace(uid="1234"))


def refusal(status: int, message: str) -> ApiException:
    error = ApiException(status=status, reason="no")
    error.body = json.dumps({"message": message})
    return error


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def test_an_api_server_that_is_away_for_a_moment_is_asked_again() -> None:
    api = Api(refusal(503, "later"), refusal(429, "slowly"), CREATED)
    Cluster(api, "ns").create_pod(POD, "job")
    assert api.owned == ["1234"]


def test_what_it_refuses_it_refuses_once_and_says_why() -> None:
    api = Api(refusal(403, 'pods "job" is forbidden: exceeded quota: few'))
    with pytest.raises(RefusedError, match="exceeded quota: few"):
        Cluster(api, "ns").create_pod(POD, "job")
    assert api.answers == []


def test_a_pod_of_that_name_makes_room() -> None:
    api = Api(refusal(409, "already exists"), CREATED)
    Cluster(api, "ns").create_pod(POD, "job")
    assert api.deleted == ["job"]


def test_a_pod_that_never_makes_room_is_a_refusal() -> None:
    api = Api(*[refusal(409, "already exists")] * 5)
    with pytest.raises(RefusedError, match="already exists"):
        Cluster(api, "ns").create_pod(POD, "job")


def test_a_pod_is_looked_at_even_where_it_cannot_be_watched() -> None:
    assert list(Cluster(Api(CREATED), "ns").follow("job", 3)) == [CREATED]
    assert list(Cluster(Api(refusal(404, "not found")), "ns").follow("job", 3)) == [None]
    assert list(Cluster(Api(*[refusal(503, "away")] * 5), "ns").follow("job", 3)) == [], "not gone: unknown"

"""What a launcher of job pods asks of Kubernetes, in its own namespace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from fl_app.launchers.pod_settings import Owner

_TRIES = 5
_PAUSE = 1.0
_ANSWER_WITHIN = (5.0, 30.0)
"""Seconds to connect and to answer."""
_TEMPORARY = (408, 429, 500, 502, 503, 504)
_CONFLICT = 409
_ABSENT = 404

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """Kubernetes will not have it: its admission, a quota, or the object itself."""


class Cluster:
    """One namespace of the cluster in which this process runs.

    Args:
        api: kubernetes' CoreV1Api.
        namespace: where the job pods live.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._pause = threading.Event()

    @classmethod
    def connect(cls, namespace: str) -> Cluster:
        """As the service account of this pod."""
        from kubernetes import client, config

        config.load_incluster_config()
        return cls(client.CoreV1Api(), namespace)

    def reference(self, owner: Owner) -> dict[str, Any]:
        """The reference to an owner, whose uid only Kubernetes knows."""
        found = self._patiently(
            self._api.read_namespaced_config_map, name=owner.name, namespace=self._namespace
        )
        return {**owner.model_dump(), "uid": found.metadata.uid}

    def create_secret(self, body: dict[str, Any]) -> None:
        """Create a Secret, in the place of one of the same name."""
        self._create(
            self._api.create_namespaced_secret,
            self._api.delete_namespaced_secret,
            body["metadata"]["name"],
            body,
        )

    def create_pod(self, body: dict[str, Any], secret: str) -> None:
        """Create a pod, in the place of one of the same name; from then on its Secret goes with it.

        Raises:
            RefusedError: Kubernetes will not have it, and says why.
        """
        name = body["metadata"]["name"]
        pod = self._create(self._api.create_namespaced_pod, self._api.delete_namespaced_pod, name, body)
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.metadata.uid}
        self._patiently(
            self._api.patch_namespaced_secret,
            name=secret,
            namespace=self._namespace,
            body={"metadata": {"ownerReferences": [owner]}},
        )

    def _create(self, create: Any, delete: Any, name: str, body: dict[str, Any]) -> Any:
        from kubernetes.client.rest import ApiException

        for attempt in range(_TRIES):
            try:
                return self._patiently(create, namespace=self._namespace, body=body)
            except ApiException as error:
                if error.status != _CONFLICT or attempt == _TRIES - 1:
                    raise RefusedError(_words(error)) from error
                self._delete(delete, name, grace_period_seconds=0)
                self.pause()
        raise AssertionError

    def pod(self, name: str) -> Any | None:
        """The pod, or None where there is none."""
        from kubernetes.client.rest import ApiException

        try:
            return self._patiently(self._api.read_namespaced_pod, name=name, namespace=self._namespace)
        except ApiException as error:
            if error.status == _ABSENT:
                return None
            raise

    def follow(self, name: str, seconds: int) -> Iterator[Any | None]:
        """The pod as it is, again at each change and once more after some seconds; None: it is gone."""
        from kubernetes.client.rest import ApiException
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError

        try:
            changes = Watch().stream(
                self._api.list_namespaced_pod,
                namespace=self._namespace,
                field_selector=f"metadata.name={name}",
                resource_version="0",  # what the API server has at hand; the newest it may seek for seconds
                timeout_seconds=seconds,
                _request_timeout=(_ANSWER_WITHIN[0], seconds + _ANSWER_WITHIN[0]),
            )
            for change in changes:
                yield None if change["type"] == "DELETED" else change["object"]
        except (ApiException, HTTPError) as error:
            _log.debug("watching the pod %s: %s", name, error)
            self.pause()
        try:
            yield self.pod(name)
        except (ApiException, HTTPError) as error:
            _log.warning("the pod %s cannot be looked at; its job goes on: %s", name, error)

    def pause(self) -> None:
        """Let a moment pass before something is tried again."""
        self._pause.wait(_PAUSE)

    def events(self, name: str) -> list[Any]:
        """The events about a pod; none where they cannot be had."""
        from kubernetes.client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            found = self._api.list_namespaced_event(
                namespace=self._namespace,
                field_selector=f"involvedObject.kind=Pod,involvedObject.name={name}",
                _request_timeout=_ANSWER_WITHIN,
            )
        except (ApiException, HTTPError):
            return []
        return list(found.items)

    def delete_pod(self, name: str) -> None:
        """Remove a pod at once, if it is there."""
        self._delete(self._api.delete_namespaced_pod, name, grace_period_seconds=0)

    def delete_secret(self, name: str) -> None:
        """Remove a Secret, if it is there."""
        self._delete(self._api.delete_namespaced_secret, name)

    def delete_pods(self, labels: Mapping[str, str]) -> list[str]:
        """Remove every pod with these labels; their names."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self._patiently(
            self._api.list_namespaced_pod, namespace=self._namespace, label_selector=selector
        )
        names = [str(pod.metadata.name) for pod in found.items]
        for name in names:
            self.delete_pod(name)
        return names

    def _delete(self, delete: Any, name: str, **options: Any) -> None:
        from kubernetes.client.rest import ApiException

        try:
            self._patiently(delete, name=name, namespace=self._namespace, **options)
        except ApiException as error:
            if error.status != _ABSENT:
                raise

    def _patiently(self, call: Any, **arguments: Any) -> Any:
        """Call, and again where the API server is away for a moment."""
        from kubernetes.client.rest import ApiException
        from urllib3.exceptions import HTTPError

        for attempt in range(_TRIES):
            try:
                return call(**arguments, _request_timeout=_ANSWER_WITHIN)
            except (ApiException, HTTPError) as error:
                temporary = not isinstance(error, ApiException) or error.status in _TEMPORARY
                if not temporary or attempt == _TRIES - 1:
                    raise
            self.pause()
        raise AssertionError


def _words(error: Any) -> str:
    """What the API server says, out of the JSON in which it does."""
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"

"""Kubernetes API client for job pods in one namespace."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tenacity

from fl_app.launchers.pod_settings import OwnerReference

_ATTEMPTS = 5
_RETRY_SECONDS = 1.0
_TIMEOUTS = (5.0, 30.0)
"""Seconds to connect and to answer."""
_TEMPORARY = (408, 429, 500, 502, 503, 504)
_CONFLICT = 409
_NOT_FOUND = 404

_log = logging.getLogger(__name__)


class RejectedError(Exception):
    """Kubernetes rejected an object: by admission, a quota, or because it is invalid."""


class JobNamespace:
    """One namespace of the cluster in which this process runs.

    Calls are retried if the API server is temporarily unavailable.

    Args:
        api: CoreV1Api of the kubernetes package.
        namespace: namespace of the job pods.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    @classmethod
    def connect(cls, namespace: str) -> JobNamespace:
        """Connect with the service account of this pod."""
        from kubernetes import client, config

        config.load_incluster_config()
        return cls(client.CoreV1Api(), namespace)

    def owner_reference(self, owner: OwnerReference) -> dict[str, Any]:
        """Return the reference to an owner with its uid."""
        found = self._call(self._api.read_namespaced_config_map, name=owner.name)
        return {**owner.model_dump(), "uid": found.metadata.uid}

    def create_secret(self, body: dict[str, Any]) -> None:
        """Create a Secret and replace an existing one of the same name.

        Raises:
            RejectedError: Kubernetes rejected the Secret.
        """
        self._create(self._api.create_namespaced_secret, body, self.delete_secret)

    def create_pod(self, body: dict[str, Any], secret: str) -> str:
        """Create a pod, replace an existing one of the same name, and make it the owner of its Secret.

        Returns:
            The uid of the pod.

        Raises:
            RejectedError: Kubernetes rejected the pod.
        """
        pod = self._create(self._api.create_namespaced_pod, body, self.delete_pod)
        owner = {"apiVersion": "v1", "kind": "Pod", "name": body["metadata"]["name"], "uid": pod.metadata.uid}
        self._call(
            self._api.patch_namespaced_secret, name=secret, body={"metadata": {"ownerReferences": [owner]}}
        )
        return str(pod.metadata.uid)

    def _create(self, create: Callable[..., Any], body: dict[str, Any], delete: Callable[[str], None]) -> Any:
        from kubernetes.client.rest import ApiException

        def delete_existing(_: tenacity.RetryCallState) -> None:
            delete(body["metadata"]["name"])

        try:
            return _retrying(_is_conflict, before_sleep=delete_existing)(self._call, create, body=body)
        except ApiException as error:
            raise RejectedError(_message(error)) from error

    def pod(self, name: str) -> Any | None:
        """Return the pod, or None if it does not exist."""
        from kubernetes.client.rest import ApiException

        try:
            return self._call(self._api.read_namespaced_pod, name=name)
        except ApiException as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def watch_pod(self, name: str, uid: str, seconds: int) -> Iterator[Any | None]:
        """Yield the pod now, at each change, and once more after `seconds`; None means it was deleted.

        Pods of the same name with another uid are ignored: the cache may still contain a predecessor.
        """
        from kubernetes.client.rest import ApiException
        from kubernetes.watch import Watch
        from urllib3.exceptions import HTTPError

        try:
            changes = Watch().stream(
                self._api.list_namespaced_pod,
                namespace=self._namespace,
                field_selector=f"metadata.name={name}",
                resource_version="0",  # the API server's cache; a newer version may take seconds
                timeout_seconds=seconds,
                _request_timeout=(_TIMEOUTS[0], seconds + _TIMEOUTS[0]),
            )
            for change in changes:
                if change["object"].metadata.uid == uid:
                    yield None if change["type"] == "DELETED" else change["object"]
        except (ApiException, HTTPError) as error:
            _log.debug("watching the pod %s: %s", name, error)
            self.pause()
        try:
            pod = self.pod(name)
            yield pod if pod is not None and pod.metadata.uid == uid else None
        except (ApiException, HTTPError) as error:
            _log.warning("cannot read the pod %s; its job continues: %s", name, error)

    def pause(self) -> None:
        """Sleep before another attempt."""
        time.sleep(_RETRY_SECONDS)

    def pod_events(self, name: str) -> list[Any]:
        """Return the events of a pod; none if they cannot be read."""
        from kubernetes.client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            found = self._api.list_namespaced_event(
                namespace=self._namespace,
                field_selector=f"involvedObject.kind=Pod,involvedObject.name={name}",
                _request_timeout=_TIMEOUTS,
            )
        except (ApiException, HTTPError):
            return []
        return list(found.items)

    def delete_pod(self, name: str) -> None:
        """Delete a pod without a grace period, if it exists."""
        self._delete(self._api.delete_namespaced_pod, name, grace_period_seconds=0)

    def delete_secret(self, name: str) -> None:
        """Delete a Secret, if it exists."""
        self._delete(self._api.delete_namespaced_secret, name, grace_period_seconds=0)

    def delete_pods(self, labels: Mapping[str, str]) -> list[str]:
        """Delete every pod with these labels and return their names."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self._call(self._api.list_namespaced_pod, label_selector=selector)
        names = [str(pod.metadata.name) for pod in found.items]
        for name in names:
            self.delete_pod(name)
        return names

    def _delete(self, delete: Callable[..., Any], name: str, **options: Any) -> None:
        from kubernetes.client.rest import ApiException

        try:
            self._call(delete, name=name, **options)
        except ApiException as error:
            if error.status != _NOT_FOUND:
                raise

    def _call(self, call: Callable[..., Any], **arguments: Any) -> Any:
        """Call the API, and retry temporary errors."""
        retrying = _retrying(_is_temporary)
        return retrying(call, namespace=self._namespace, _request_timeout=_TIMEOUTS, **arguments)


def _retrying(
    condition: Callable[[BaseException], bool],
    before_sleep: Callable[[tenacity.RetryCallState], None] | None = None,
) -> tenacity.Retrying:
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_fixed(_RETRY_SECONDS),
        retry=tenacity.retry_if_exception(condition),
        before_sleep=before_sleep,
        reraise=True,
    )


def _is_temporary(error: BaseException) -> bool:
    from kubernetes.client.rest import ApiException
    from urllib3.exceptions import HTTPError

    return isinstance(error, HTTPError) or (isinstance(error, ApiException) and error.status in _TEMPORARY)


def _is_conflict(error: BaseException) -> bool:
    return getattr(error, "status", None) == _CONFLICT


def _message(error: Any) -> str:
    """Return the message in the API server's JSON answer."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"

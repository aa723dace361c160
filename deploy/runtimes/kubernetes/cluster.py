"""A cluster as a context of the kubeconfig names it, through Kubernetes' own client."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from typing import IO, Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream import portforward, stream

from deploy.errors import MachineError

ANSWER_SECONDS = 20.0
"""A cluster that takes longer for an answer is not there."""
COPY_SECONDS = 300.0
STDOUT = 1
NOT_FOUND = 404
FORBIDDEN = (401, 403)


class _Client(client.ApiClient):
    """Waits for no answer for ever, unless it is told to."""

    def call_api(self, *arguments: Any, _request_timeout: Any = None, **further: Any) -> Any:
        return super().call_api(*arguments, _request_timeout=_request_timeout or ANSWER_SECONDS, **further)


class Cluster:
    """A cluster.

    Args:
        context: its context in the kubeconfig.

    Raises:
        MachineError: there is no such context, or what it names cannot be used.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        settings = client.Configuration()
        settings.retries = False  # a cluster that is not there is told at once
        try:
            config.load_kube_config(_kubeconfig(), context=context, client_configuration=settings)
        except (ConfigException, OSError) as error:
            raise MachineError(
                f"The kubeconfig does not lead to {context}: {error}. See kubectl config get-contexts; "
                "another file is named by the variable KUBECONFIG."
            ) from error
        self._settings = settings
        opened = _Client(settings)
        self.core = client.CoreV1Api(opened)
        self.apps = client.AppsV1Api(opened)

    def pods(self, namespace: str, selector: str) -> list[Any]:
        """The pods with these labels."""
        return list(self.core.list_namespaced_pod(namespace, label_selector=selector).items)

    def running_pod(self, namespace: str, selector: str) -> str | None:
        """The name of a pod with these labels that runs and is not about to end."""
        for pod in self.pods(namespace, selector):
            if pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None:
                return str(pod.metadata.name)
        return None

    def connect(self, namespace: str, pod: str, port: int) -> Any:
        """A socket to a port inside a pod; network policies do not hold for it.

        Raises:
            ApiException: there is no such pod, or this user may not.
        """
        api = client.CoreV1Api(client.ApiClient(self._settings))  # streaming changes a client while it opens
        opened = portforward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
        return opened.socket(port)

    def read_from(self, namespace: str, pod: str, container: str, *command: str) -> IO[bytes]:
        """What a command in a container prints.

        Raises:
            ApiException: there is no such pod, or this user may not.
        """
        api = client.CoreV1Api(client.ApiClient(self._settings))
        opened = stream(
            api.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            container=container,
            command=list(command),
            stderr=False,
            stdout=True,
            binary=True,
            _preload_content=False,
        )
        try:
            opened.run_forever(timeout=COPY_SECONDS)
            return io.BytesIO(opened.read_channel(STDOUT))
        finally:
            opened.close()


def current_context() -> str | None:
    """The kubeconfig's current context; None without one.

    Raises:
        MachineError: there is no kubeconfig.
    """
    try:
        _, active = config.list_kube_config_contexts(_kubeconfig())
    except (ConfigException, OSError) as error:
        raise MachineError(
            f"There is no kubeconfig that says where the cluster is ({error}). Ask for one where the cluster "
            "was made, and put it to ~/.kube/config or name it by the variable KUBECONFIG."
        ) from error
    return str(active["name"]) if active else None


def _kubeconfig() -> str | None:
    """As the environment names it now: Kubernetes' client asks only when it is imported."""
    return os.environ.get("KUBECONFIG") or None


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what Kubernetes answers to a request that it does not grant into words.

    Raises:
        MachineError: no cluster answers, or it does not let this user.
    """
    try:
        yield
    except ApiException as error:
        if error.status in FORBIDDEN:
            raise MachineError(f"The cluster does not let you: {message(error)}") from error
        raise MachineError(f"The cluster refuses: {message(error)}") from error
    except urllib3.exceptions.HTTPError as error:
        raise MachineError(
            f"The cluster does not answer: {error}. Is it up, and does the kubeconfig lead to it? "
            "kubectl get nodes"
        ) from error


def message(error: ApiException) -> str:
    """What Kubernetes says of a refusal."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(error.body)["message"])
    return f"{error.status} {error.reason}"

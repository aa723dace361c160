"""Access a cluster through the Kubernetes client, by a context of the kubeconfig."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from typing import IO, Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream import portforward, stream

from deploy.errors import MachineError

ANSWER_SECONDS = 20.0
"""Timeout of a request."""
COPY_SECONDS = 300.0
STDOUT = 1
NOT_FOUND = 404
CONFLICT = 409
DENIED = (401, 403)


class _Client(client.ApiClient):
    """A client with a default timeout."""

    def call_api(self, *arguments: Any, _request_timeout: Any = None, **options: Any) -> Any:
        return super().call_api(*arguments, _request_timeout=_request_timeout or ANSWER_SECONDS, **options)


class Cluster:
    """A cluster, named by a context of the kubeconfig.

    Raises:
        MachineError: the kubeconfig has no such context, or the context is invalid.
    """

    def __init__(self, context: str) -> None:
        self.context = context
        settings = client.Configuration()
        settings.retries = False  # fail at once if the cluster does not answer
        try:
            config.load_kube_config(_kubeconfig(), context=context, client_configuration=settings)
        except (ConfigException, OSError) as error:
            raise MachineError(
                f"The kubeconfig has no usable context {context}: {error}. List the contexts: kubectl config "
                "get-contexts. The variable KUBECONFIG selects another file."
            ) from error
        self._settings = settings
        api_client = _Client(settings)
        self.core = client.CoreV1Api(api_client)
        self.apps = client.AppsV1Api(api_client)

    def pods(self, namespace: str, selector: str) -> list[Any]:
        """Return the pods that match a label selector."""
        return list(self.core.list_namespaced_pod(namespace, label_selector=selector).items)

    def running_pod(self, namespace: str, selector: str) -> str | None:
        """Return the name of a matching pod that is running and not terminating."""
        for pod in self.pods(namespace, selector):
            if pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None:
                return str(pod.metadata.name)
        return None

    def connect(self, namespace: str, pod: str, port: int) -> Any:
        """Return a socket to a port of a pod. Network policies do not apply to it.

        Raises:
            ApiException: the pod does not exist, or the request is denied.
        """
        api = client.CoreV1Api(client.ApiClient(self._settings))  # streaming modifies its client
        opened = portforward(api.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port))
        return opened.socket(port)

    def read_from(
        self, namespace: str, pod: str, container: str, *command: str
    ) -> tuple[int | None, IO[bytes]]:
        """Return the exit status (None: unknown) and the stdout of a command in a container.

        Raises:
            ApiException: the pod does not exist, or the request is denied.
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
            status = None
            # The connection ended before the status arrived, or the status is the text of an error.
            with contextlib.suppress(TypeError, KeyError, IndexError, ValueError, yaml.YAMLError):
                status = opened.returncode
            return status, io.BytesIO(opened.read_channel(STDOUT))
        finally:
            opened.close()


def current_context() -> str | None:
    """Return the kubeconfig's current context, if it has one.

    Raises:
        MachineError: there is no valid kubeconfig.
    """
    try:
        _, active = config.list_kube_config_contexts(_kubeconfig())
    except (ConfigException, OSError) as error:
        raise MachineError(
            f"There is no valid kubeconfig ({error}). Get one from the cluster's administrator, and save "
            "it as ~/.kube/config or set the variable KUBECONFIG."
        ) from error
    return str(active["name"]) if active else None


def _kubeconfig() -> str | None:
    """Return the file that the environment names now: the client reads the variable at import only."""
    return os.environ.get("KUBECONFIG") or None


@contextlib.contextmanager
def explained_errors() -> Iterator[None]:
    """Translate errors of the Kubernetes client.

    Raises:
        MachineError: the cluster does not answer, or it denied or rejected a request.
    """
    try:
        yield
    except ApiException as error:
        message = f"{error.status} {error.reason}"
        with contextlib.suppress(ValueError, TypeError, KeyError):
            message = json.loads(error.body)["message"]
        verb = "denied" if error.status in DENIED else "rejected"
        raise MachineError(f"The cluster {verb} the request: {message}") from error
    except urllib3.exceptions.HTTPError as error:
        raise MachineError(
            f"The cluster does not answer: {error}. Check that it is running and that the kubeconfig is "
            "correct: kubectl get nodes"
        ) from error

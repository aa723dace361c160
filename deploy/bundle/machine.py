"""Versions, lists of files, and what an engine or a cluster says about containers and pods."""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.docker_engine import connect
from deploy.errors import MachineError
from deploy.programs import output_of
from fl_app.contract import flarefleet_version, installed_version

if TYPE_CHECKING:
    from docker.models.containers import Container

    from deploy.runtimes.kubernetes.cluster import Cluster

LOG_LINES = 500
"""Lines of the end of each log."""


def versions() -> dict[str, Any]:
    """Return the versions of Flarefleet and of what it uses."""
    return {
        "flarefleet": flarefleet_version(),
        "nvflare": installed_version("nvflare"),
        "python": sys.version,
        "system": platform.platform(),
        "docker": _engine(),
        "helm": (output_of("helm", "version", "--short") or "").strip() or None,
        "kubectl": (output_of("kubectl", "version", "--client") or "").strip() or None,
        "packages": {
            one.name: one.version for one in sorted(distributions(), key=lambda one: one.name or "")
        },
    }


def listing(folder: Path) -> str:
    """Return mode, size and path of each file below a folder."""
    return "\n".join(
        f"{file.stat().st_mode & 0o777:o} {file.stat().st_size:>9} {file.relative_to(folder)}"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    )


def container_facts(container: Container) -> dict[str, Any]:
    """Return the state of a container, without its environment."""
    attributes = container.attrs
    return {
        "name": container.name,
        "image": attributes["Config"]["Image"],
        "state": attributes["State"],
        "restarts": attributes.get("RestartCount"),
        "mounts": [mount.get("Destination") for mount in attributes.get("Mounts", ())],
    }


def container_log(container: Container) -> str:
    """Return the end of the log of a container."""
    return container.logs(tail=LOG_LINES, timestamps=True).decode("utf-8", "replace")


def pod_facts(cluster: Cluster, namespace: str, selector: str) -> list[dict[str, Any]]:
    """Return the state of pods, without their environment."""
    plain = cluster.core.api_client.sanitize_for_serialization
    return [
        {
            "name": pod.metadata.name,
            "labels": pod.metadata.labels,
            "node": pod.spec.node_name,
            "images": [container.image for container in pod.spec.containers],
            "resources": [plain(container.resources) for container in pod.spec.containers],
            "status": plain(pod.status),
        }
        for pod in cluster.pods(namespace, selector)
    ]


def event_facts(
    cluster: Cluster, namespace: str, objects: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Return the events of a namespace, the newest last.

    Args:
        objects: names of the objects whose events to return (default: all).
    """
    found = [
        {
            "time": str(event.last_timestamp or event.event_time or event.metadata.creation_timestamp),
            "type": event.type,
            "object": f"{event.involved_object.kind}/{event.involved_object.name}",
            "reason": event.reason,
            "message": event.message,
            "count": event.count,
        }
        for event in cluster.core.list_namespaced_event(namespace).items
        if objects is None or event.involved_object.name in objects
    ]
    return sorted(found, key=lambda event: event["time"])


def pod_logs(cluster: Cluster, namespace: str, selector: str) -> dict[str, str]:
    """Return the end of the log of each container, and of its previous one: POD-CONTAINER -> text."""
    from kubernetes.client.exceptions import ApiException

    found = {}
    for pod in cluster.pods(namespace, selector):
        for container in pod.spec.containers:
            for suffix, previous in (("", False), ("-previous", True)):
                try:
                    text = cluster.core.read_namespaced_pod_log(
                        pod.metadata.name,
                        namespace,
                        container=container.name,
                        tail_lines=LOG_LINES,
                        timestamps=True,
                        previous=previous,
                    )
                except ApiException:  # the container has no (previous) log
                    continue
                found[f"{pod.metadata.name}-{container.name}{suffix}"] = str(text)
    return found


def _engine() -> str | None:
    try:
        return str(connect().version()["Version"])
    except MachineError:
        return None

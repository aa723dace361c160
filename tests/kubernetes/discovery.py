"""Replace Prometheus' discovery of pods by files, because Debian's Prometheus is built without it.

The targets of `kubernetes_sd_configs` with role pod are written to files for `file_sd_configs`, with the
labels that Prometheus documents. The rest of the configuration stays unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster


def files_for(configuration: str, cluster: Cluster) -> dict[str, str]:
    """Return a configuration with file discovery, and its files.

    Args:
        configuration: a configuration that discovers pods only.
        cluster: the cluster of the pods.

    Returns:
        Name -> text of the files, which belong into one folder.
    """
    document = yaml.safe_load(configuration)
    files = {}
    for number, scrape in enumerate(document["scrape_configs"]):
        (discovery,) = scrape.pop("kubernetes_sd_configs")
        assert discovery.pop("role") == "pod"
        namespaces = discovery.pop("namespaces", {}).get("names")
        assert not discovery, f"unknown: {discovery}"
        files[f"pods-{number}.json"] = json.dumps(list(pods_of(cluster, namespaces)))
        scrape["file_sd_configs"] = [{"files": [f"pods-{number}.json"]}]
    return {"prometheus.yml": yaml.safe_dump(document, sort_keys=False), **files}


def pods_of(cluster: Cluster, namespaces: list[str] | None) -> Iterator[dict[str, Any]]:
    """Yield a target for each port of each container, and one for a container without ports."""
    for pod in cluster.get("pods", "--all-namespaces")["items"]:
        meta, address = pod["metadata"], pod["status"].get("podIP")
        if not address or (namespaces and meta["namespace"] not in namespaces):
            continue
        for container in pod["spec"]["containers"]:
            for port in container.get("ports") or [{}]:
                number = port.get("containerPort")
                yield {
                    "targets": [f"{address}:{number}" if number else address],
                    "labels": {
                        **_of_pod(pod),
                        **_prefixed("container", {"name": container["name"]}),
                        **_prefixed("container_port", {**port, "number": number} if number else {}),
                    },
                }


def _of_pod(pod: dict[str, Any]) -> dict[str, str]:
    meta, status = pod["metadata"], pod["status"]
    labels, annotations = meta.get("labels", {}), meta.get("annotations", {})
    return {
        "__meta_kubernetes_namespace": meta["namespace"],
        **_prefixed("", {"name": meta["name"], "ip": status["podIP"], "phase": status["phase"]}),
        **_prefixed("label", labels),
        **_prefixed("labelpresent", dict.fromkeys(labels, "true")),
        **_prefixed("annotation", annotations),
        **_prefixed("annotationpresent", dict.fromkeys(annotations, "true")),
    }


def _prefixed(part: str, values: dict[str, Any]) -> dict[str, str]:
    """Return the labels for these values, with underscores for characters that labels must not have."""
    prefix = f"__meta_kubernetes_pod_{part}_" if part else "__meta_kubernetes_pod_"
    return {prefix + re.sub(r"[^a-zA-Z0-9_]", "_", name): str(value) for name, value in values.items()}

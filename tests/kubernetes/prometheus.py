"""Prometheus in the cluster, with the operator's configuration or with the chart's."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from deploy.tools import find_tool
from tests.kubernetes.cluster import CHECKOUT, PROGRAM, Cluster, CommandFailedError
from tests.prometheus import Prometheus

NAMESPACE = "monitoring"
"""Namespace of the operator that `cluster monitoring` installs. It runs Debian's Prometheus, which cannot
discover pods and rejects the operator's configuration: see `discovery`.
"""
LABEL = "release=kube-prometheus-stack"
"""Label by which that Prometheus selects its monitors and rules."""
IMAGE = "localhost/prometheus:1"
"""Image that `cluster monitoring` copies to every node."""
INTERVAL = 2
"""Seconds between two scrapes in tests."""
CHART = CHECKOUT / "helm" / "flare-monitoring"


def install_operator(cluster: Cluster) -> None:
    """Install the Prometheus operator and a Prometheus, unless they are installed."""
    try:
        cluster.get("statefulset", "-n", NAMESPACE, "prometheus-prometheus")
    except CommandFailedError:
        made = [str(PROGRAM), "monitoring", "--name", cluster.name]
        subprocess.run(made, check=True, capture_output=True, text=True)


@contextmanager
def chart(cluster: Cluster, release: str, namespace: str, *settings: str) -> Iterator[None]:
    """Install a release of flare-monitoring for the duration of the block."""
    quick = f"scrape.interval={INTERVAL}s,scrape.timeout={INTERVAL}s"
    cluster.run(
        *("helm", "upgrade", "--install", release, str(CHART), "--namespace", namespace, "--set", quick),
        *(word for one in settings for word in ("--set", one)),
    )
    try:
        yield
    finally:
        cluster.run("helm", "uninstall", release, "--namespace", namespace, "--wait")


@contextmanager
def api_server(cluster: Cluster) -> Iterator[str]:
    """Run `kubectl proxy` and yield its URL."""
    with subprocess.Popen(
        [str(find_tool("kubectl")), "proxy", "--port=0"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield f"http://{process.stdout.readline().split()[-1]}"
        finally:
            process.terminate()


def generated_by_operator(cluster: Cluster) -> tuple[str, dict[str, str]]:
    """Return the configuration and the rule files that the operator generated."""
    secret = cluster.get("secret", "-n", NAMESPACE, "prometheus-prometheus")["data"]["prometheus.yaml.gz"]
    rules = cluster.get("configmaps", "-n", NAMESPACE, "-l", "prometheus-name=prometheus")["items"]
    text = gzip.decompress(base64.b64decode(secret)).decode()
    document = yaml.safe_load(text.replace("$(SHARD)", "0"))  # as without shards
    files = {name: text for one in rules for name, text in one["data"].items()}
    document["rule_files"] = sorted(files)
    return yaml.safe_dump(document), files


@contextmanager
def running(
    cluster: Cluster, api: str, namespace: str, files: Mapping[str, str], folder: Path
) -> Iterator[Prometheus]:
    """Run a Prometheus in a namespace for the duration of the block.

    Args:
        cluster: the cluster.
        api: URL of `api_server`.
        namespace: the namespace.
        files: prometheus.yml and the files that it names.
        folder: folder for the manifest.
    """
    name = f"prometheus-{uuid.uuid4().hex[:6]}"
    file = folder / f"{name}.json"
    file.write_text(json.dumps(_manifest(name, namespace, files)))
    cluster.kubectl("apply", "--server-side", "-f", str(file))
    try:
        cluster.kubectl("wait", "-n", namespace, f"pod/{name}", "--for=condition=Ready", "--timeout=90s")
        yield Prometheus.at(f"{api}/api/v1/namespaces/{namespace}/pods/{name}:9090/proxy")
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "-f", str(file))


POD = """
apiVersion: v1
kind: Pod
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {runAsUser: 65534, runAsNonRoot: true, fsGroup: 65534}
  containers:
  - name: prometheus
    imagePullPolicy: Never
    args: [--config.file=/etc/prometheus/flarefleet/prometheus.yml, --storage.tsdb.path=/data]
    readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
    volumeMounts: [{name: config, mountPath: /etc/prometheus/flarefleet}, {name: data, mountPath: /data}]
  volumes: [{name: config}, {name: data, emptyDir: {}}]
"""


def _manifest(name: str, namespace: str, files: Mapping[str, str]) -> dict[str, object]:
    metadata = {"name": name, "namespace": namespace}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}
    pod = {"metadata": metadata, **yaml.safe_load(POD)}
    pod["spec"]["containers"][0]["image"] = IMAGE
    pod["spec"]["volumes"][0]["configMap"] = {"name": name}
    return {"apiVersion": "v1", "kind": "List", "items": [config, pod]}

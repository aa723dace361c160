"""TensorBoard in the server's pod, and on the operator's machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.tools import find_tool
from tests.federation.federation import SERVER
from tests.kubernetes.cluster import CommandFailedError
from tests.kubernetes.monitored.conftest import SITES, Monitored, OtherNamespaces
from tests.kubernetes.test_network_policy import connections
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

TAG = "round"


@contextmanager
def port_forwarding(monitored: Monitored) -> Iterator[str]:
    """Forward a local port to the Service, as in the guide, and yield its URL."""
    service = ("-n", monitored.namespace(SERVER), f"service/{SERVER}-tensorboard", ":80")
    with subprocess.Popen(
        [str(find_tool("kubectl")), "port-forward", *service],
        env={**os.environ, "KUBECONFIG": str(monitored.cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield f"http://{process.stdout.readline().split()[2]}"
        finally:
            process.terminate()


def steps(url: str, run: str) -> list[int]:
    """Return the steps of a run's curve from TensorBoard's API; none if there is no curve."""
    query = urllib.parse.urlencode({"run": run, "tag": TAG})
    try:
        with urllib.request.urlopen(f"{url}/data/plugin/scalars/scalars?{query}", timeout=20) as answer:
            return [step for _, step, _ in json.load(answer)]
    except (OSError, json.JSONDecodeError):
        return []


def assert_grows(url: str, run: str) -> None:
    """Wait until the curve of a run exists and gets further points."""
    before = len(eventually(lambda: steps(url, run), 90, f"{run} has a curve"))
    eventually(lambda: len(steps(url, run)) > before, 60, f"the curve of {run} grows")


def test_the_servers_tensorboard_shows_the_curves_of_every_site_while_the_job_is_running(
    monitored: Monitored, job: str
) -> None:
    with port_forwarding(monitored) as url:
        for site in SITES:
            assert_grows(url, f"{job}/{site}")


def test_tensorboard_can_only_read_the_event_files(monitored: Monitored, job: str) -> None:
    where = ("-n", monitored.namespace(SERVER), f"{SERVER}-0", "-c", "tensorboard", "--")

    def run(*command: str) -> str:
        return monitored.cluster.kubectl("exec", *where, *command)

    assert run("ls", "/var/lib/flare").split() == ["analytics"]
    assert job in run("ls", "/var/lib/flare/analytics").split()
    for path in ("/var/lib/flare/analytics/x", f"/var/lib/flare/analytics/{job}/x", "/x"):
        with pytest.raises(CommandFailedError, match="Read-only file system"):
            run("touch", path)
    assert run("ls", "/etc/flare/kit") == ""
    for path in ("/run/secrets/flare", "/var/run/secrets/kubernetes.io"):
        with pytest.raises(CommandFailedError, match="No such file"):
            run("ls", path)


def test_tensorboard_runs_in_a_restricted_namespace(monitored: Monitored) -> None:
    namespace = monitored.namespace(SERVER)
    labels = monitored.cluster.get("namespace", namespace)["metadata"]["labels"]
    status = monitored.cluster.get("pod", "-n", namespace, f"{SERVER}-0")["status"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    ready = {one["name"]: (one["ready"], one["restartCount"]) for one in status["containerStatuses"]}
    assert ready["tensorboard"] == (True, 0)


@pytest.mark.parametrize(("namespace", "is_allowed"), [("allowed", True), ("denied", False)])
def test_only_allowed_namespaces_reach_the_service_of_tensorboard(
    monitored: Monitored, other_namespaces: OtherNamespaces, namespace: str, is_allowed: bool
) -> None:
    service = f"{SERVER}-tensorboard.{monitored.namespace(SERVER)}.svc:80"
    found = connections(monitored.cluster, getattr(other_namespaces, namespace), "client", service)
    assert found == {service: is_allowed}


def test_the_tensorboard_command_shows_the_curves_while_the_job_is_running(
    monitored: Monitored, job: str
) -> None:
    with monitored.federation.start("tensorboard", job) as process:
        try:
            assert_grows(process.stdout.readline().strip().rstrip("/"), SITES[0])
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0

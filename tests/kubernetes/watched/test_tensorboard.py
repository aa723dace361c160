"""TensorBoard in a container beside the server, and on the operator's machine."""

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
from tests.kubernetes.test_network_policy import reaches
from tests.kubernetes.watched.conftest import SITES, Visitors, Watched
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

TAG = "accuracy_after_training"


@contextmanager
def forwarded(watched: Watched) -> Iterator[str]:
    """Forward a local port to the Service, as in the guide, and yield its URL."""
    service = ("-n", watched.namespace(SERVER), f"service/{SERVER}-tensorboard", ":80")
    with subprocess.Popen(
        [str(find_tool("kubectl")), "port-forward", *service],
        env={**os.environ, "KUBECONFIG": str(watched.cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
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


def test_the_servers_tensorboard_shows_the_curves_of_every_site_while_the_job_is_running(
    watched: Watched, hospital: str
) -> None:
    with forwarded(watched) as url:
        for site in SITES:
            run = f"{hospital}/{site}"
            eventually(lambda run=run: steps(url, run), 90, f"{site} has a curve")
            before = len(steps(url, run))
            eventually(lambda run=run, before=before: len(steps(url, run)) > before, 60, "the curve grows")


def test_it_has_read_only_access_to_the_event_files_only(watched: Watched, hospital: str) -> None:
    where = ("-n", watched.namespace(SERVER), f"{SERVER}-0", "-c", "tensorboard", "--")

    def sees(*command: str) -> str:
        return watched.cluster.kubectl("exec", *where, *command)

    assert sees("ls", "/var/lib/flare").split() == ["analytics"]
    assert hospital in sees("ls", "/var/lib/flare/analytics").split()
    for path in ("/var/lib/flare/analytics/x", f"/var/lib/flare/analytics/{hospital}/x", "/x"):
        with pytest.raises(CommandFailedError, match="Read-only file system"):
            sees("touch", path)
    assert sees("ls", "/etc/flare/kit") == ""
    for path in ("/run/secrets/flare", "/var/run/secrets/kubernetes.io"):
        with pytest.raises(CommandFailedError, match="No such file"):
            sees("ls", path)


def test_it_runs_in_a_restricted_namespace(watched: Watched) -> None:
    namespace = watched.namespace(SERVER)
    labels = watched.cluster.get("namespace", namespace)["metadata"]["labels"]
    status = watched.cluster.get("pod", "-n", namespace, f"{SERVER}-0")["status"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    ready = {one["name"]: (one["ready"], one["restartCount"]) for one in status["containerStatuses"]}
    assert ready["tensorboard"] == (True, 0)


@pytest.mark.parametrize(("visitor", "may"), [("invited", True), ("outsider", False)])
def test_only_allowed_namespaces_reach_its_service(
    watched: Watched, visitors: Visitors, visitor: str, may: bool
) -> None:
    service = f"{SERVER}-tensorboard.{watched.namespace(SERVER)}.svc"
    assert reaches(watched.cluster, getattr(visitors, visitor), "visitor", service, 80) is may


def test_the_command_shows_the_curves_on_this_machine_while_the_job_is_running(
    watched: Watched, hospital: str
) -> None:
    with subprocess.Popen(
        watched.federation.command("tensorboard", hospital),
        cwd=watched.federation.folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().rstrip("/")
            eventually(lambda: steps(url, SITES[0]), 60, "there is a curve")
            before = len(steps(url, SITES[0]))
            eventually(lambda: len(steps(url, SITES[0])) > before, 60, "the curve grows")
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0

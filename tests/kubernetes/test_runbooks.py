"""Run every kubectl and helm command of the runbooks and of the hospital's guide."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.project import Project
from deploy.workspace import Workspace
from tests.documented import Command, commands_in, expected, run, runbook_commands
from tests.kubernetes.cluster import RESTRICTED, Cluster, CommandFailedError, Release
from tests.kubernetes.conftest import ABSENT, Federation, release_of
from tests.waiting import eventually

pytestmark = pytest.mark.kubernetes

EXPECTED = {
    "describe pod": r"Conditions:",
    "get pods,events": r"Running",
    "get pods -l flare/site": r"site-1-0 .*Running",
    "get pods -l flare/role=job": r"Pending",
    "describe pods -l flare/role=job": r"Insufficient nvidia.com/gpu",
    "get events": r"Insufficient nvidia.com/gpu",
    "get pvc": r"workspace-site-1-0 .*Bound",
    "get storageclass": r"ALLOWVOLUMEEXPANSION",
    "logs": r"\S",
    "du -sh": r"/var/lib/flare[\s\S]*Avail",
    "urlopen": r"^200$",
    "probe metrics": r"nvflare_telemetry_dropped_total",
    "telemetry.probe": r"ready|nvflare_",
}
"""Pattern that the output of a command must match."""
FOR_CLUSTERS = ("openssl", "kubectl", "helm")
"""Programs of the commands of INSTALL.md that are not for a host with Docker."""
INSTALLATION = {
    "openssl verify": r"client.crt: OK",
    "helm test": r"Succeeded",
    "telemetry.probe": r"^ready$",
    "logs": r"Successfully registered client",
    "delete pvc": r"deleted",
}
"""The same for the documented commands of an installation, each of which occurs once."""
UNSCHEDULABLE = {
    "metadata": {"labels": {"flare/role": "job"}},
    "spec": {"containers": [{"name": "job", "resources": {"limits": {"nvidia.com/gpu": 99}}, **RESTRICTED}]},
}
"""A job pod that no node can run."""


@pytest.fixture(scope="module")
def pending_pod(federation: Federation) -> Iterator[None]:
    """Run a job pod of site-1 that stays pending."""
    cluster, where = federation.cluster, ("-n", federation.site_1.namespace)
    cluster.kubectl(
        "run", *where, "waiting", "--image=localhost/busybox:1", f"--overrides={json.dumps(UNSCHEDULABLE)}"
    )
    cluster.kubectl("wait", *where, "pod/waiting", "--for=condition=PodScheduled=false", "--timeout=30s")
    yield
    cluster.kubectl("delete", "pod", *where, "waiting", "--wait=false")


@pytest.fixture(scope="module")
def restarted(federation: Federation) -> None:
    """End the server's container, and wait until it is running again."""
    cluster, server = federation.cluster, federation.server
    before = cluster.restarts(server.namespace, server.pod)
    with contextlib.suppress(CommandFailedError):  # kubectl exec fails when the container exits
        server.python("import os; os.kill(1, 15)")
    eventually(
        lambda: cluster.restarts(server.namespace, server.pod) > before,
        180,
        "Kubernetes restarts it",
        tolerating=[CommandFailedError],
    )
    for release in federation.releases:
        release.wait_until_ready()


@pytest.fixture
def expandable_site(new_site: Release) -> Iterator[Release]:
    """Install a site whose StorageClass allows volume expansion."""

    def allow(expansion: bool) -> None:
        patch = json.dumps({"allowVolumeExpansion": expansion})
        new_site.cluster.kubectl("patch", "storageclass", "local", "-p", patch)

    allow(True)
    new_site.install("--set", "persistence.storageClassName=local")
    new_site.wait_until_ready()
    yield new_site
    allow(False)


@pytest.fixture
def folder(federation: Federation, tmp_path: Path) -> Path:
    """Return a copy of the site's release folder."""
    shutil.copytree(federation.site_1.folder, tmp_path, dirs_exist_ok=True)
    return tmp_path


def site_of(command: Command, request: pytest.FixtureRequest, federation: Federation) -> Release:
    """Return the release of a command, and create the objects that the command needs."""
    if "patch pvc" in command.line:
        found: Release = request.getfixturevalue("expandable_site")
        return found
    if "--previous" in command.line:
        request.getfixturevalue("restarted")
    if command.page == "JobPodPending":
        request.getfixturevalue("pending_pod")
    return federation.server if "flare-server" in command.line else federation.site_1


@pytest.mark.parametrize(
    "command", [pytest.param(one, id=str(one)) for one in runbook_commands(of_clusters=True)]
)
def test_a_command_of_a_runbook_works(
    federation: Federation, folder: Path, request: pytest.FixtureRequest, command: Command
) -> None:
    site = site_of(command, request, federation)
    job_id = str(uuid.uuid4())
    if "JOB-ID" in command.line:
        site.exec("mkdir", f"/var/lib/flare/{job_id}")
    # The server's telemetry replaces a tracker.
    line = command.filled_in(
        {"NAMESPACE": site.namespace, "SITE": site.name, "JOB-ID": job_id, "MLFLOW": "127.0.0.1"}
    ).replace(":5000/health", ":9464/healthz")

    output = run(line, folder)

    for pattern in expected(command.line, EXPECTED):
        assert re.search(pattern, output, re.MULTILINE), output
    if "JOB-ID" in command.line:
        assert job_id not in site.exec("ls", "/var/lib/flare")


@pytest.fixture
def absent_site(
    cluster: Cluster, federation: Federation, project: tuple[Project, Workspace]
) -> Iterator[Release]:
    """Return the release of a site that is not installed. Delete its namespace afterwards."""
    release = release_of(cluster, project[1], ABSENT)
    yield release
    cluster.remove_namespaces(release.namespace, release.name)


def test_the_commands_of_install_md_install_and_remove_a_site(absent_site: Release, tmp_path: Path) -> None:
    """A unit test compares the commands of the hospital's guide with those of INSTALL.md."""
    shutil.copytree(absent_site.folder, tmp_path, dirs_exist_ok=True)
    lines = [one.line for one in commands_in(tmp_path / "INSTALL.md") if one.program in FOR_CLUSTERS]

    outputs = {line: run(line, tmp_path) for line in lines}

    for part, pattern in INSTALLATION.items():
        (output,) = (output for line, output in outputs.items() if part in line)
        assert re.search(pattern, output, re.MULTILINE), output

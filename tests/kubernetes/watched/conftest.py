"""A federation as its operator watches it: TensorBoard beside the server, jobs as processes at one site and
as pods at the other.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.images.names import runtime_image
from deploy.project import Image
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster
from tests.waiting import eventually

SITES = ("site-1", "site-2")
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
LONG = ("--set", "rounds=1000", "--set", "local_epochs=20")
"""Makes `hospital` run for longer than these tests."""


@dataclass(frozen=True)
class Visitors:
    """Two pods of people who are no part of the federation."""

    invited: str
    """The namespace, and of whose people the values say that they may open TensorBoard."""
    stranger: str
    """The namespace of one of whom no value says anything."""


@dataclass(frozen=True)
class Watched:
    """A federation that is up, and the cluster that it is in."""

    cluster: Cluster
    federation: Federation

    @property
    def project(self) -> str:
        return self.federation.project.name

    def namespace(self, name: str) -> str:
        """Of the server or a site."""
        return f"{self.project}-{name}"

    @property
    def namespaces(self) -> list[str]:
        return [self.namespace(name) for name in (SERVER, *SITES)]


def namespace_of(name: str) -> list[dict[str, object]]:
    """A namespace as the other end of a network policy's rule."""
    return [{"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: name}}}]


@pytest.fixture(scope="package")
def visitors(cluster: Cluster, cluster_image: Image) -> Iterator[Visitors]:
    """Their namespaces, each with a pod `visitor` that has Python."""
    name = uuid.uuid4().hex[:6]
    made = Visitors(f"invited-{name}", f"stranger-{name}")
    quick = json.dumps({"spec": {"terminationGracePeriodSeconds": 0}})
    for namespace in (made.invited, made.stranger):
        cluster.kubectl("create", "namespace", namespace)
        cluster.kubectl(
            *("run", "-n", namespace, "visitor", f"--image={runtime_image(cluster_image)}"),
            *("--image-pull-policy=Never", f"--overrides={quick}", "--command", "--", "sleep", "infinity"),
        )
    for namespace in (made.invited, made.stranger):
        cluster.kubectl("wait", "-n", namespace, "pod/visitor", "--for=condition=Ready", "--timeout=60s")
    yield made
    cluster.kubectl("delete", "namespace", "--wait=false", made.invited, made.stranger)


@pytest.fixture(scope="package")
def watched(
    cluster: Cluster, cluster_image: Image, visitors: Visitors, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    """A server with TensorBoard and two sites, up; site-2 runs its jobs in pods."""
    file = write_project(
        tmp_path_factory.mktemp("watched"),
        sites=len(SITES),
        name=f"watched-{os.getpid()}",
        image=cluster_image,
        port=8002,
    )
    _let_jobs_run_in_pods(file, SITES[1])
    federation = Federation(file.parent, "kubernetes")
    own = {
        "tensorboard": {"enabled": True},
        "networkPolicy": {"tensorboard": {"from": namespace_of(visitors.invited)}},
    }
    (federation.workspace.release / SERVER / "own.yaml").write_text(yaml.safe_dump(own))
    try:
        up = federation.flarefleet("up", "--runtime", "kubernetes")
        assert up.returncode == 0, up.stderr
        yield Watched(cluster, federation)
    finally:
        federation.remove()


def _let_jobs_run_in_pods(file: Path, site: str) -> None:
    document = yaml.safe_load(file.read_text())
    document["deployment"]["sites"][site]["launcher"] = "pod"
    file.write_text(yaml.safe_dump(document))


@pytest.fixture(scope="package")
def hospital(watched: Watched) -> Iterator[str]:
    """The id of a job `hospital` that runs."""
    submitted = watched.federation.flarefleet("submit", "hospital", *LONG, "--detach")
    assert submitted.returncode == 0, submitted.stderr
    job_id = submitted.stdout.strip()

    def runs() -> bool:
        listed = json.loads(watched.federation.flarefleet("jobs", "--json").stdout)
        return any(job["id"] == job_id and job["status"] == "RUNNING" for job in listed)

    eventually(runs, 60, "hospital runs")
    yield job_id
    with suppress(OSError):
        watched.federation.flarefleet("abort", job_id)

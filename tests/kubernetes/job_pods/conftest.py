"""A federation whose jobs run in pods."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
import yaml

from deploy.project import Image
from tests.federation.federation import SERVER, Federation, write_project
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.job_pods.job_objects import TASK_TIMEOUT, namespace

TEMPLATE = "/var/lib/flare/local/study_runtime.yaml"
"""Pod template of the launcher. Tests change it while the parent is running."""


@pytest.fixture(scope="package")
def federation(cluster_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and three sites whose jobs run in pods, with a start timeout of 5 s."""
    name = f"job-pods-{os.getpid()}"
    folder = tmp_path_factory.mktemp("job-pods")
    guard = {"task_timeout_seconds": int(TASK_TIMEOUT)}
    file = write_project(
        folder, sites=3, name=name, image=cluster_image, port=8002, launcher="pod", guard=guard
    )
    made = Federation(file.parent, "kubernetes")
    for parent in (SERVER, "site-1"):
        own = made.workspace.release / parent / "own.yaml"
        own.write_text(yaml.safe_dump({"jobPods": {"startTimeoutSeconds": 5}}))
    try:
        made.run("up", "--runtime", "kubernetes")
        yield made
    finally:
        made.remove()


@pytest.fixture
def template(federation: Federation, cluster: Cluster) -> Iterator[Callable[[str, str], None]]:
    """Change the pod template `t` of a participant with a Python statement; restore it afterwards."""
    before: dict[str, str] = {}

    def run(name: str, *command: str) -> str:
        return cluster.exec(namespace(federation, name), f"{name}-0", *command)

    def change(name: str, statement: str) -> None:
        before[name] = run(name, "cat", TEMPLATE)
        code = (
            f"import yaml; p = {TEMPLATE!r}; d = yaml.safe_load(open(p)); t = d['studies']['default']; "
            f"{statement}; open(p, 'w').write(yaml.safe_dump(d))"
        )
        run(name, "python3", "-c", code)

    yield change
    for name, text in before.items():
        run(name, "python3", "-c", f"open({TEMPLATE!r}, 'w').write({text!r})")

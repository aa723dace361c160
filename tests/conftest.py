"""Shared fixtures (Docker engine, cluster) and the assignment of tests to workers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from filelock import FileLock

from deploy.docker_engine import connect
from deploy.errors import MachineError
from deploy.project import Image
from fl_app.garbage_collection import paused_for_imports
from tests.kubernetes.cluster import (
    CONTEXT,
    LOCK,
    PROGRAM,
    Cluster,
    CommandFailedError,
    bring_up,
)
from tests.kubernetes.ownership import claim, release
from tests.registry import Registry, registries
from tests.skipping import skip_or_fail_in_ci

VLA_IMAGE = "FLAREFLEET_VLA_IMAGE"
"""Environment variable that enables the tests of images with lerobot."""
STOCK = "FLAREFLEET_STOCK"
"""Environment variable that enables the tests of NVFlare alone, whose release is pinned (`make stock`)."""
ON_REQUEST = {"vla_image": VLA_IMAGE, "stock": STOCK}
"""Marks of tests that run only on request, and the environment variable that requests them."""
NOT_REQUESTED = {mark: name for mark, name in ON_REQUEST.items() if os.environ.get(name) != "1"}
_UID = os.environ.get("PYTEST_XDIST_TESTRUNUID")
RUN = f"{_UID}:{os.getppid()}" if _UID else f"alone:{os.getpid()}"
"""Identifies this run of the tests in all its workers: NAME:PID, with the process that started them."""
CLUSTER_GROUPS = ("kubernetes", "kubernetes/job_pods")
POD_FOLDERS = ("job_pods", "monitored")
"""Folders of tests/kubernetes in the second of these groups: its tests share only the cluster with others."""
LONGEST_FIRST = (
    *CLUSTER_GROUPS,
    "docker",
    "kills",
    "test_guard.py",
    "jobs",
    "tracked",
    "test_flower_job.py",
    "test_fedprox_vla_job.py",
    "examples",
    "test_demo.py",
    "test_runbooks.py",
)
"""Groups of tests that take minutes, the longest first."""


def pytest_configure() -> None:
    """Handle Ctrl-C in the background, too, where a shell makes processes ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without garbage collections, and exclude the collected tests and modules from later ones."""
    with paused_for_imports():
        return (yield)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist is not in each environment
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers more than there are processors: tests of federations wait half of their time."""
    return (os.cpu_count() or 1) + 2


def pytest_report_header() -> str | None:
    """Report which tests are not run."""
    if not NOT_REQUESTED:
        return None
    marks = ", ".join(f"those marked {mark} ({name}=1 runs them)" for mark, name in NOT_REQUESTED.items())
    return f"tests that are not run: {marks}"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run tests that share a costly resource in one worker; distribute all others.

    Docker tests share one engine and its images; federation tests of a file or folder share one federation.
    Two workers share the cluster.
    The longest groups start first and the tests without a group last, so that all workers end together.
    Tests that were not requested are deselected, not skipped: a skip means that this machine lacks something.
    """
    excluded = [item for item in items if any(map(item.get_closest_marker, NOT_REQUESTED))]
    if excluded:
        config.hook.pytest_deselected(items=excluded)
        items[:] = [item for item in items if item not in excluded]
    groups = {item: _group(item) for item in items}
    for item, group in groups.items():
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    rank = dict(zip(LONGEST_FIRST, range(len(LONGEST_FIRST)), strict=True)) | {"": len(LONGEST_FIRST) + 1}
    items.sort(key=lambda item: rank.get(groups[item], len(LONGEST_FIRST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Delete the cluster of this run after the last test that uses it."""
    try:
        return (yield)
    finally:
        group = _group(item)
        if group in CLUSTER_GROUPS and (nextitem is None or _group(nextitem) != group):
            groups = {_group(one) for one in item.session.items} & set(CLUSTER_GROUPS)
            release(RUN, group, groups, FileLock(LOCK))


def _group(item: pytest.Item) -> str:
    """Return the name of the group that a test runs in; empty if it can run anywhere."""
    if item.get_closest_marker("kubernetes"):
        return CLUSTER_GROUPS[item.path.parent.name in POD_FOLDERS]
    if item.get_closest_marker("docker"):
        return "docker"
    if not item.get_closest_marker("federation"):
        return ""
    folder = item.path.parent.name
    return item.path.name if folder == "federation" else folder


@pytest.fixture(autouse=True)
def _restored_environment() -> Iterator[None]:
    """Restore environment variables, working directory and the search path of modules after each test."""
    variables, folder, path = dict(os.environ), Path.cwd(), list(sys.path)
    yield
    sys.path[:] = path
    if os.environ != variables:
        os.environ.clear()
        os.environ.update(variables)
    os.chdir(folder)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A function that starts a registry and returns its address; `login=True` requires a password."""
    with registries(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Connect to the Docker engine; without one, skip the test, or fail it in CI."""
    try:
        client = connect()
    except MachineError as error:
        skip_or_fail_in_ci(str(error))
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return the running cluster, or create one for the whole run. Sets KUBECONFIG."""
    from deploy.tools import fetch_tools, find_tool

    if not PROGRAM.exists():
        skip_or_fail_in_ci(f"{PROGRAM} does not exist; these tests create a cluster with it")
    try:
        with FileLock(LOCK):
            claim(RUN)
            try:
                find_tool("helm")
                find_tool("kubectl")
            except MachineError:
                fetch_tools()
            made = bring_up(CONTEXT, "--workers", "2", "--gpus", "1")
    except (MachineError, CommandFailedError) as error:
        skip_or_fail_in_ci(str(error))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(made.kubeconfig))
        yield made


@pytest.fixture(scope="session")
def cluster_image(cluster: Cluster, engine: docker.DockerClient) -> Image:
    """Load the runtime image of these sources on every node; remove older ones (1.2 GB each)."""
    from deploy.images.build import build_runtime
    from deploy.images.inputs import source_digest
    from deploy.images.names import runtime_image

    # Checkouts with their own clusters share an engine: do not remove the images of another checkout.
    registry = "flarefleet-tests" if CONTEXT == "fed" else f"flarefleet-tests-{CONTEXT}"
    image = Image(registry=registry, tag=source_digest("cpu")[:12])
    name = runtime_image(image)
    repository = name.rpartition(":")[0]
    with FileLock(LOCK):
        tags = {tag for one in engine.images.list(repository) for tag in one.tags}
        if name not in tags:
            build_runtime(engine, image)
        for tag in tags - {name}:
            if tag.startswith(f"{repository}:"):
                engine.images.remove(tag)
        cluster.load(name)
    return image

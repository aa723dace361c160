"""One MLflow server and one federation for all tests of this package; a second federation for Flower.

The selected jobs are submitted together and run side by side.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from deploy.session import AdminKit, open_session
from fl_app.jobs.registry import find
from tests.federation.federation import ADMIN, Federation, forking_jobs, write_project
from tests.federation.flower import FlowerFederation
from tests.federation.tracked import mlflow_server
from tests.federation.tracked.mlflow_server import MLflowServer
from tests.federation.tracked.recipes import IN_FLOWERS_ENVIRONMENT, RECIPES, export, parameter_twice
from tests.federation.tracked.tracking import KEEP_DAYS, SITES, Tracked, TrackedJob
from tests.skipping import skip_or_fail_in_ci


@pytest.fixture(scope="package")
def trackers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    """Start an MLflow server, without waiting for it."""
    if not mlflow_server.PROGRAM.exists():
        skip_or_fail_in_ci("no MLflow server: python -m maintenance.ci_tools")
    server = MLflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="package")
def tracked(trackers: MLflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """Start the federation."""
    with _up(Federation, "tracked", trackers, tmp_path_factory.mktemp("tracking")) as found:
        yield found


@pytest.fixture(scope="package")
def tracked_with_flower(
    trackers: MLflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracked]:
    """Start a second federation, which has Flower, for one job."""
    with _up(FlowerFederation, "tracked-with-flower", trackers, tmp_path_factory.mktemp("flower")) as found:
        yield found


@contextmanager
def _up(kind: type[Federation], name: str, mlflow: MLflowServer, folder: Path) -> Iterator[Tracked]:
    tracking = {
        "receivers": ["mlflow", "wandb"],
        "environment": {"MLFLOW_TRACKING_URI": mlflow.url, "WANDB_MODE": "offline"},
        "keep_days": KEEP_DAYS,
        "credentials": "trackers.env",
    }
    credentials = folder / "trackers.env"
    credentials.write_text(f"WANDB_API_KEY={'a' * 40}\n", encoding="utf-8")
    credentials.chmod(0o600)
    federation = kind(write_project(folder, sites=len(SITES), name=name, tracking=tracking).parent)
    (folder / "wandb").mkdir()
    try:
        with forking_jobs() if kind is Federation else nullcontext():
            up = federation.flarefleet("up")
        assert up.returncode == 0, up.stderr
        with open_session(AdminKit.read(federation.runtime.admin_kit(ADMIN))) as session:
            yield Tracked(federation, session, mlflow, folder / "wandb")
    finally:
        federation.down()


@pytest.fixture
def submit_probe(tracked: Tracked, tmp_path: Path) -> Callable[..., str]:
    """Submit the kit's job `probe`; return its id."""

    def submit(**parameters: float) -> str:
        probe = find("probe")
        probe.recipe(probe.parameters(**parameters), SITES).export(str(tmp_path))
        return tracked.session.submit(tmp_path / "probe", uuid.uuid4().hex)

    return submit


@pytest.fixture(scope="package")
def jobs(
    request: pytest.FixtureRequest, tracked: Tracked, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TrackedJob]:
    """Submit `numpy` and the jobs of all selected tests; return them by name, without waiting for them."""
    folder = tmp_path_factory.mktemp("jobs")
    selected = [item for item in request.session.items if isinstance(item, pytest.Function)]
    names = {item.callspec.params.get("name") for item in selected if hasattr(item, "callspec")}
    tracked.mlflow.wait()
    submitted = {}
    for name in (name for name in RECIPES if name in names | {"numpy"}):
        needs_flower = name in IN_FLOWERS_ENVIRONMENT
        where = request.getfixturevalue("tracked_with_flower") if needs_flower else tracked
        submitted[name] = TrackedJob.submit(export(name, folder, where.mlflow.url, where.wandb), where)
    if any("parameter_twice_job" in item.fixturenames for item in selected):
        job = parameter_twice(folder, tracked.mlflow.url, guard=True)
        submitted[job.name] = TrackedJob.submit(job, tracked)
    return submitted


@pytest.fixture(scope="package")
def parameter_twice_job(jobs: dict[str, TrackedJob]) -> TrackedJob:
    """Return the job whose sites log a parameter twice to MLflow."""
    return jobs["parameter-twice"]

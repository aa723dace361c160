"""One MLflow server, one federation for all tests here and, for rows that need Flower, a second that has it.

The jobs of the table run side by side.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.session import AdminKit, AdminSession, open_session
from fl_app.jobs.registry import find
from tests.federation.federation import ADMIN, Federation, write_project
from tests.federation.flower import FlowerFederation
from tests.federation.tracked import mlflow_server
from tests.federation.tracked.mlflow_server import MLflowServer
from tests.federation.tracked.recipes import IN_FLOWERS_ENVIRONMENT, RECIPES, export
from tests.federation.tracked.tracking import KEEP_DAYS, SITES, Row, Tracked
from tests.lacking import leave_out
from tests.waiting import eventually


@pytest.fixture(scope="package")
def trackers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    """An MLflow server, which may still be starting."""
    if not mlflow_server.PROGRAM.exists():
        leave_out("no MLflow server: python -m maintenance.ci_tools")
    server = MLflowServer(tmp_path_factory.mktemp("mlflow"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="package")
def tracked(trackers: MLflowServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    """The federation is up."""
    with _up(Federation, "tracked", trackers, tmp_path_factory.mktemp("tracking")) as found:
        yield found


@pytest.fixture(scope="package")
def tracked_with_flower(
    trackers: MLflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tracked]:
    """Another one, which has Flower."""
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
        up = federation.flarefleet("up")
        assert up.returncode == 0, up.stderr
        yield Tracked(federation, mlflow, folder / "wandb")
    finally:
        federation.down()


@pytest.fixture(scope="package")
def session(tracked: Tracked) -> Iterator[AdminSession]:
    with _session(tracked) as opened:
        yield opened


@contextmanager
def _session(tracked: Tracked) -> Iterator[AdminSession]:
    with open_session(AdminKit.read(tracked.federation.runtime.admin_kit(ADMIN))) as opened:
        yield opened


@pytest.fixture
def submit_probe(session: AdminSession, tmp_path: Path) -> Callable[..., str]:
    """Submits the kit's job `probe` and returns its id."""

    def submit(**parameters: float) -> str:
        probe = find("probe")
        probe.recipe(probe.parameters(**parameters), SITES).export(str(tmp_path))
        return session.submit(tmp_path / "probe", uuid.uuid4().hex)

    return submit


@pytest.fixture(scope="package")
def table(
    tracked: Tracked,
    tracked_with_flower: Tracked,
    session: AdminSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Row]]:
    """The table's jobs, all of which have completed."""
    folder = tmp_path_factory.mktemp("table")
    tracked.mlflow.wait()
    with _session(tracked_with_flower) as session_with_flower:
        rows = {}
        for name in RECIPES:
            flower = name in IN_FLOWERS_ENVIRONMENT
            where, opened = (tracked_with_flower, session_with_flower) if flower else (tracked, session)
            job = export(name, folder, where.mlflow.url, where.wandb)
            rows[name] = Row(opened.submit(job, uuid.uuid4().hex), job, where, opened)
        for name, row in rows.items():
            eventually(lambda row=row: row.session.job(row.job_id).is_finished, 400, f"{name} has ended")
            status = row.session.job(row.job_id).status
            assert status == "FINISHED:COMPLETED", (name, status, row.session.error_logs(row.job_id))
        yield rows

"""The job that both run: hospital in two rounds, as NVFlare's own recipe, through one admin session."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.job.__main__ import round_starts
from deploy.session import AdminKit, open_session
from deploy.session.quiet import working_in
from deploy.session.session import COMPLETED

SCRIPTS = Path(__file__).parents[1] / "job"
"""With stock_client.py; a script that is named by a path alone stays behind when a job is exported."""
ROUNDS = 2
POLL_SECONDS = 0.2
FINISHED_WITHIN = 180.0


@dataclass(frozen=True)
class Times:
    """Seconds from the moment at which the server took the job."""

    first_round: float
    finished: float


def run_hospital(kit: Path, sites: tuple[str, ...], folder: Path) -> Times:
    """Submit it, wait for its end, and read from its log when it began."""
    exported = _export(sites, folder / "jobs")
    with open_session(AdminKit.read(kit)) as session:
        job_id = session.submit(exported, str(uuid.uuid4()))
        deadline = time.monotonic() + FINISHED_WITHIN
        while not (job := session.job(job_id)).is_finished:
            if time.monotonic() > deadline:
                raise SystemExit(f"the job has not ended: {job}")
            time.sleep(POLL_SECONDS)
        ended = datetime.now(timezone.utc)
        if job.status != COMPLETED:
            raise SystemExit(f"the job failed: {job}\n{session.error_logs(job_id)}")
        first = round_starts(session.server_log(job_id))[0].replace(tzinfo=timezone.utc)
    return Times(*(round((moment - job.submitted).total_seconds(), 1) for moment in (first, ended)))


def _export(sites: tuple[str, ...], folder: Path) -> Path:
    from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe

    with working_in(SCRIPTS):
        FedAvgRecipe(
            name="hospital",
            model={
                "class_path": "fl_app.jobs.hospital.model.TumourClassifier",
                "args": {"hidden": 32, "seed": 0},
            },
            min_clients=len(sites),
            num_rounds=ROUNDS,
            train_script="stock_client.py",
            train_args=f"--job hospital --sites {' '.join(sites)}",
            key_metric="own_accuracy",
        ).export(str(folder))
    return folder / "hospital"

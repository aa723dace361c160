"""The measured jobs of two rounds, and the session that runs them.

Stock NVFlare runs its recipe with a script, as in its documentation. Flarefleet runs its job with the same
model, data and training.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.job.__main__ import round_starts
from deploy.session import AdminKit, open_session
from deploy.session.nvflare_output import working_in
from deploy.session.session import COMPLETED
from fl_app.jobs.export import ExportRequest, export
from fl_app.jobs.hospital.job import HospitalParameters
from fl_app.jobs.numpy_fedavg.recipe import EXAMPLE_MODEL, EXAMPLE_SCRIPT
from fl_app.jobs.registry import find

STOCK_CLIENT = Path(__file__).parents[1] / "job" / "stock_client.py"
ROUNDS = 2
POLL_SECONDS = 0.2
FINISHED_WITHIN = 180.0


@dataclass(frozen=True)
class Times:
    """Seconds since the server accepted the job."""

    first_round: float
    finished: float


def run(job: Path, kit: Path) -> Times:
    """Submit an exported job, wait until it finishes, and read the time of its first round from the log."""
    with open_session(AdminKit.read(kit)) as session:
        job_id = session.submit(job, str(uuid.uuid4()))
        deadline = time.monotonic() + FINISHED_WITHIN
        while not (found := session.job(job_id)).is_finished:
            if time.monotonic() > deadline:
                raise SystemExit(f"the job has not finished: {found}")
            time.sleep(POLL_SECONDS)
        finished = datetime.now(timezone.utc)
        if found.status != COMPLETED:
            raise SystemExit(f"the job failed: {found}\n{session.error_logs(job_id)}")
        first = round_starts(session.server_log(job_id))[0].replace(tzinfo=timezone.utc)
    return Times(*(round((moment - found.submitted).total_seconds(), 1) for moment in (first, finished)))


def stock_numpy(sites: tuple[str, ...], folder: Path) -> Path:
    """Export NVFlare's NumpyFedAvgRecipe."""
    from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe

    return _export_stock(
        NumpyFedAvgRecipe, EXAMPLE_SCRIPT, folder, name="numpy", sites=sites, model=EXAMPLE_MODEL
    )


def stock_hospital(sites: tuple[str, ...], folder: Path) -> Path:
    """Export NVFlare's FedAvgRecipe."""
    from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe

    return _export_stock(
        FedAvgRecipe,
        STOCK_CLIENT,
        folder,
        name="hospital",
        sites=sites,
        model={
            "class_path": "fl_app.jobs.hospital.model.TumourClassifier",
            "args": {"hidden": 32, "seed": 0},
        },
        train_args=f"--job hospital --sites {' '.join(sites)}",
        key_metric="own_accuracy",
    )


def flarefleet_numpy(sites: tuple[str, ...], folder: Path) -> Path:
    """Export Flarefleet's job numpy-fedavg."""
    return _export_flarefleet("numpy-fedavg", {}, sites, folder)


def flarefleet_hospital(sites: tuple[str, ...], folder: Path) -> Path:
    """Export Flarefleet's job hospital."""
    return _export_flarefleet("hospital", {"seed": HospitalParameters().seed}, sites, folder)


JOBS: dict[str, dict[str, Callable[[tuple[str, ...], Path], Path]]] = {
    "numpy": {"stock": stock_numpy, "flarefleet": flarefleet_numpy},
    "hospital": {"stock": stock_hospital, "flarefleet": flarefleet_hospital},
}


def _export_stock(
    recipe: Any, script: Path, folder: Path, *, name: str, sites: tuple[str, ...], **more: Any
) -> Path:
    folder.mkdir()
    shutil.copy(script, folder)  # a script with an absolute path is not exported
    with working_in(folder):
        recipe(name=name, min_clients=len(sites), num_rounds=ROUNDS, train_script=script.name, **more).export(
            str(folder)
        )
    return folder / name


def _export_flarefleet(name: str, parameters: dict[str, Any], sites: tuple[str, ...], folder: Path) -> Path:
    request = ExportRequest(
        parameters={"rounds": ROUNDS, **parameters}, sites=sites, only_these=False, folder=folder
    )
    made = export(find(name), request).folder
    assert made is not None
    return made

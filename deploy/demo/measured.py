"""What a run measured: the hospitals' values from TensorBoard's files, and its model on the test patients."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.compare import compare
from deploy.demo.report import Files, HospitalReport, Report
from deploy.errors import Failed

if TYPE_CHECKING:
    from deploy.project import Project
    from fl_app.jobs.hospital.job import HospitalParameters

PACKAGES = ("flarefleet", "nvflare", "torch", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Trained:
    """A job that completed."""

    job_id: str
    server_address: str
    folder: Path
    """Its results, as `flarefleet fetch` lays them out."""


def measure(project: Project, parameters: HospitalParameters, trained: Trained) -> Report:
    """What this run measured, but for its steps."""
    files = Files(
        folder=str(trained.folder),
        model="model/FL_global_model.pt",
        best_model=_if_there(trained.folder, "model/best_FL_global_model.pt"),
        tensorboard="tb_events",
        logs="logs",
    )
    compared = compare(parameters, len(project.sites), trained.folder / files.model)
    events = trained.folder / files.tensorboard
    hospitals = tuple(
        HospitalReport(
            name=site.name,
            patients=len(patients),
            malignant=patients.malignant,
            alone=alone,
            global_accuracy=logged(events, site.name, "accuracy", parameters.rounds),
            own_accuracy=logged(events, site.name, "accuracy_after_training", parameters.rounds),
        )
        for site, patients, alone in zip(
            project.sites, compared.cohort.hospitals, compared.alone, strict=True
        )
    )
    return Report(
        made_at=datetime.now().astimezone(),
        project=project.name,
        job_id=trained.job_id,
        server_address=trained.server_address,
        parameters=parameters.model_dump(mode="json"),
        hospitals=hospitals,
        test_patients=len(compared.cohort.test),
        test_malignant=compared.cohort.test.malignant,
        federated=compared.federated,
        central=compared.central,
        versions={"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        steps=(),
        files=files,
        command="",
    )


def _if_there(folder: Path, name: str) -> str | None:
    return name if (folder / name).exists() else None


def logged(events: Path, site: str, tag: str, rounds: int) -> tuple[float, ...]:
    """The values that a site logged under a tag, one a round.

    Args:
        events: the folder that holds one folder a site.

    Raises:
        Failed: a round is missing.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(events / site), size_guidance={"scalars": 0})
    accumulator.Reload()
    known = tag in accumulator.Tags()["scalars"]
    points = {event.step: event.value for event in accumulator.Scalars(tag)} if known else {}
    missing = [number for number in range(rounds) if number not in points]
    if missing:
        raise Failed(
            f"{site} logged no {tag} in round {', '.join(map(str, missing))}, so no report can be made. "
            f"What it logged: {events / site}"
        )
    return tuple(float(points[number]) for number in range(rounds))

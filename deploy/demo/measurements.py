"""Collect the measurements of a demo run: the metrics that hospitals logged, and the model's results."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.comparison import compare
from deploy.demo.report import Files, HospitalReport, Report
from deploy.errors import Failed

if TYPE_CHECKING:
    from deploy.project import Project
    from fl_app.jobs.hospital.job import HospitalParameters

PACKAGES = ("flarefleet", "nvflare", "torch", "numpy", "scikit-learn")


@dataclass(frozen=True)
class CompletedJob:
    """A completed job and the folder of its results, as `flarefleet fetch` creates it."""

    job_id: str
    server_address: str
    folder: Path


def measure(project: Project, parameters: HospitalParameters, job: CompletedJob) -> Report:
    """Return the report of this run, without its steps and command."""
    best = "model/best_FL_global_model.pt"
    files = Files(
        folder=str(job.folder),
        model="model/FL_global_model.pt",
        best_model=best if (job.folder / best).exists() else None,
        tensorboard="tb_events",
        logs="logs",
    )
    compared = compare(parameters, len(project.sites), job.folder / files.model)
    events = job.folder / files.tensorboard
    hospitals = tuple(
        HospitalReport(
            name=site.name,
            patients=len(patients),
            malignant=patients.malignant,
            alone=alone,
            global_accuracy=logged_values(events, site.name, "accuracy", parameters.rounds),
            own_accuracy=logged_values(events, site.name, "accuracy_after_training", parameters.rounds),
        )
        for site, patients, alone in zip(
            project.sites, compared.cohort.hospitals, compared.alone, strict=True
        )
    )
    return Report(
        made_at=datetime.now().astimezone(),
        project=project.name,
        job_id=job.job_id,
        server_address=job.server_address,
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


def logged_values(events: Path, site: str, tag: str, rounds: int) -> tuple[float, ...]:
    """Return the values that a site logged under a tag, one per round.

    Args:
        events: the folder with one folder of event files per site.

    Raises:
        Failed: the value of a round is missing.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(events / site), size_guidance={"scalars": 0})
    accumulator.Reload()
    known = tag in accumulator.Tags()["scalars"]
    points = {event.step: event.value for event in accumulator.Scalars(tag)} if known else {}
    missing = [number for number in range(1, rounds + 1) if number not in points]
    if missing:
        raise Failed(
            f"{site} logged no {tag} in round {', '.join(map(str, missing))}, so there is no report. "
            f"See its event files: {events / site}"
        )
    return tuple(float(points[number]) for number in range(1, rounds + 1))

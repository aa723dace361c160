"""A report of a short training in one process."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
import torch

from deploy.demo.comparison import compare
from deploy.demo.report import Files, HospitalReport, Report, Step
from fl_app.jobs.hospital.job import HospitalParameters
from tests.unit.hospital.averaging import average

HOSPITALS = 4


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("results"), HospitalParameters(rounds=6), HOSPITALS)


def make_report(folder: Path, parameters: HospitalParameters, hospitals: int) -> Report:
    """Train, compare, and create the report as the demo does."""
    averaged = average(parameters, hospitals)
    model = folder / "FL_global_model.pt"
    torch.save({"model": averaged.weights}, model)
    compared = compare(parameters, hospitals, model)
    return Report(
        made_at=datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc),
        project="hospitals",
        job_id="1b0f",
        server_address="localhost:8002",
        parameters=parameters.model_dump(),
        hospitals=tuple(
            HospitalReport(
                name=f"hospital-{index + 1}",
                patients=len(patients),
                malignant=patients.malignant,
                alone=compared.alone[index],
                global_accuracy=tuple(averaged.global_accuracy[:-1]),
                own_accuracy=tuple(averaged.own_accuracy[index]),
            )
            for index, patients in enumerate(compared.cohort.hospitals)
        ),
        test_patients=len(compared.cohort.test),
        test_malignant=compared.cohort.test.malignant,
        federated=compared.federated,
        central=compared.central,
        versions={"nvflare": "2.9.0"},
        machine="Linux x86_64, 2 cores",
        steps=(
            Step(name="provision", what=f"certificates and kits in {folder}/{'folder' * 20}", seconds=0.4),
            Step(name="up", what="a server & <4> hospitals", seconds=4.0),
        ),
        files=Files(
            folder=str(folder), model=model.name, best_model=None, tensorboard="tb_events", logs="logs"
        ),
        command="flarefleet demo --set seed=0",
    )

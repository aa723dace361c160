"""What the federation is held against: each hospital alone, and all patients in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.report import Result

if TYPE_CHECKING:
    from torch import nn

    from fl_app.jobs.hospital.data import Cohort, Patients
    from fl_app.jobs.hospital.job import HospitalParameters


@dataclass(frozen=True)
class Comparison:
    """Models on the same test patients."""

    cohort: Cohort
    alone: tuple[Result, ...]
    """One a hospital."""
    central: Result
    federated: Result


def compare(parameters: HospitalParameters, hospitals: int, model_file: Path) -> Comparison:
    """Train the comparisons with the federation's seeds and budget, and measure all on the test patients.

    Args:
        model_file: the global model after the last round, as NVFlare's persistor stored it.
    """
    import torch

    from fl_app.jobs.hospital.data import divide

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cohort = divide(hospitals, parameters.seed)
        return Comparison(
            cohort=cohort,
            alone=tuple(
                _result(_trained(parameters, patients, index), cohort.test)
                for index, patients in enumerate(cohort.hospitals)
            ),
            central=_result(_trained(parameters, cohort.pooled, hospitals), cohort.test),
            federated=_result(_stored(parameters, model_file), cohort.test),
        )
    finally:
        torch.set_num_threads(threads)


def _trained(parameters: HospitalParameters, patients: Patients, index: int) -> nn.Module:
    """A model trained on these patients alone, from the same first weights and for as many passes."""
    from fl_app.jobs.hospital.model import TumourClassifier
    from fl_app.jobs.hospital.training import Training, train

    model = TumourClassifier(parameters.hidden, parameters.seed)
    passes = parameters.rounds * parameters.local_epochs
    training = Training(passes, parameters.learning_rate, parameters.batch_size)
    train(model, patients, training, seed=(parameters.seed, index))
    return model


def _stored(parameters: HospitalParameters, file: Path) -> nn.Module:
    import torch

    from fl_app.jobs.hospital.model import TumourClassifier

    model = TumourClassifier(parameters.hidden, parameters.seed)
    stored = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(stored["model"])
    return model


def _result(model: nn.Module, test: Patients) -> Result:
    from fl_app.jobs.hospital.training import measure

    quality = measure(model, test)
    return Result(accuracy=quality.accuracy, missed=quality.missed, false_alarms=quality.false_alarms)

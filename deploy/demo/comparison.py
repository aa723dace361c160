"""Train the models that the federated model is compared with: one per hospital, and a central one."""

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
    """The results of all models on the same test patients."""

    cohort: Cohort
    alone: tuple[Result, ...]
    """One per hospital."""
    central: Result
    federated: Result


def compare(parameters: HospitalParameters, hospitals: int, model_file: Path) -> Comparison:
    """Train the other models with the seeds and budget of the federation, and evaluate all models.

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
                _evaluate(_train(parameters, patients, index), cohort.test)
                for index, patients in enumerate(cohort.hospitals)
            ),
            central=_evaluate(_train(parameters, cohort.pooled, hospitals), cohort.test),
            federated=_evaluate(_load(parameters, model_file), cohort.test),
        )
    finally:
        torch.set_num_threads(threads)


def _train(parameters: HospitalParameters, patients: Patients, index: int) -> nn.Module:
    """Train a model on these patients only, with the same initial weights and number of passes."""
    from fl_app.jobs.hospital.model import TumourClassifier
    from fl_app.jobs.hospital.training import Training, train

    model = TumourClassifier(parameters.hidden, parameters.seed)
    passes = parameters.rounds * parameters.local_epochs
    training = Training(passes, parameters.learning_rate, parameters.batch_size)
    train(model, patients, training, seed=(parameters.seed, index))
    return model


def _load(parameters: HospitalParameters, file: Path) -> nn.Module:
    import torch

    from fl_app.jobs.hospital.model import TumourClassifier

    model = TumourClassifier(parameters.hidden, parameters.seed)
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True)["model"])
    return model


def _evaluate(model: nn.Module, test: Patients) -> Result:
    from fl_app.jobs.hospital.training import measure

    quality = measure(model, test)
    return Result(accuracy=quality.accuracy, missed=quality.missed, false_alarms=quality.false_alarms)

"""Reference for the job `hospital`: federated averaging in one process."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch

from fl_app.jobs.hospital.job import TAU, HospitalParameters
from fl_app.jobs.hospital.model import DATASETS
from fl_app.jobs.hospital.training import TumourMetrics, measure, train
from fl_app.jobs.shared.adagrad import ServerAdagrad


@dataclass
class Averaged:
    """The result of the federation."""

    weights: dict[str, torch.Tensor]
    global_accuracy: list[float]
    """After 0, 1, 2... rounds."""
    own_accuracy: list[list[float]]
    """Accuracy of each hospital's model in each round, before averaging."""
    final: TumourMetrics


def average(parameters: HospitalParameters, hospitals: int) -> Averaged:
    """Train as the federation does, one hospital after the other."""
    torch.set_num_threads(1)
    dataset = DATASETS[parameters.dataset]
    cohort = dataset.divide(hospitals, parameters.seed)
    model = dataset.model(parameters.hidden, parameters.seed)
    adagrad = ServerAdagrad(parameters.effective_server_learning_rate, TAU)
    total = sum(len(patients) for patients in cohort.hospitals)
    global_accuracy = [measure(model, cohort.test).accuracy]
    own_accuracy: list[list[float]] = [[] for _ in cohort.hospitals]
    for number in range(parameters.rounds):
        mean = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
        for index, patients in enumerate(cohort.hospitals):
            own = copy.deepcopy(model)
            train(own, patients, parameters.training, seed=(parameters.seed, index, number))
            own_accuracy[index].append(measure(own, cohort.test).accuracy)
            for name, value in own.state_dict().items():
                mean[name] += value * len(patients) / total
        if parameters.algorithm == "fedadagrad":
            mean = adagrad.step(model.state_dict(), mean)
        model.load_state_dict(mean)
        global_accuracy.append(measure(model, cohort.test).accuracy)
    final = measure(model, cohort.test)
    return Averaged(dict(model.state_dict()), global_accuracy, own_accuracy, final)

"""Reference for the job `fedadagrad`: a loop without NVFlare, and without torch at the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fl_app.jobs.fedadagrad.digits import divide
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.shared.classifier import DigitClassifier, evaluate_classifier, train_classifier
from fl_app.jobs.shared.examples import mixed_seed

Arrays = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Reference:
    weights: list[Arrays]
    """Weights of the global model, before the first round and after each round."""
    accuracy: list[float]
    losses: dict[tuple[int, str], list[float]]
    """Loss of each epoch, by round (from 1) and site."""


class Adagrad:
    """The paper's formula: w += eta * d / (sqrt(sum of d^2) + tau)."""

    def __init__(self, eta: float, tau: float) -> None:
        self.eta, self.tau = eta, tau
        self.squares: Arrays = {}

    def step(self, weights: Arrays, update: Arrays) -> Arrays:
        for name, change in update.items():
            self.squares[name] = self.squares.get(name, np.zeros_like(change)) + change**2
        return {
            name: value + self.eta * update[name] / (np.sqrt(self.squares[name]) + self.tau)
            for name, value in weights.items()
        }


def run(parameters: DigitParameters, sites: Sequence[str], sampled: Sequence[Sequence[str]]) -> Reference:
    """Run all rounds; `sampled` are the sites of each round."""
    torch.set_num_threads(1)
    digits = divide(len(sites), parameters.seed)
    model = DigitClassifier(parameters.hidden, parameters.seed)
    adagrad = Adagrad(parameters.server_learning_rate, parameters.tau)
    weights = [_arrays(model)]
    accuracy = [evaluate_classifier(model, digits.test).accuracy]
    losses: dict[tuple[int, str], list[float]] = {}
    for round, chosen in enumerate(sampled):
        learning_rate = parameters.learning_rate / 2 ** (round // parameters.halve_every)
        update = {name: np.zeros_like(value) for name, value in weights[-1].items()}
        images = sum(len(digits.sites[sites.index(site)]) for site in chosen)
        for site in chosen:
            index = sites.index(site)
            _load(model, weights[-1])
            losses[round + 1, site] = train_classifier(
                model,
                digits.sites[index],
                epochs=parameters.local_epochs,
                learning_rate=learning_rate,
                batch_size=parameters.batch_size,
                seed=mixed_seed(parameters.seed, index, round),
            )
            for name, value in _arrays(model).items():
                update[name] += (value - weights[-1][name]) * len(digits.sites[index]) / images
        weights.append(adagrad.step(weights[-1], update))
        _load(model, weights[-1])
        accuracy.append(evaluate_classifier(model, digits.test).accuracy)
    return Reference(weights, accuracy, losses)


def _arrays(model: DigitClassifier) -> Arrays:
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


def _load(model: DigitClassifier, weights: Arrays) -> None:
    model.load_state_dict({name: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()})

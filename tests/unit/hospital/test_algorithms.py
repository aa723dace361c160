"""Algorithms and data sets of the job `hospital`, each against its reference accuracy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fl_app.jobs.hospital.data import FEATURES, Patients
from fl_app.jobs.hospital.digits import CLASSES_PER_SITE, classes_of, divide_digits
from fl_app.jobs.hospital.job import HospitalParameters
from fl_app.jobs.hospital.model import DATASETS, TumourClassifier
from fl_app.jobs.hospital.training import Training, measure, train
from tests.unit.hospital.averaging import average

PATIENTS = DATASETS["breast_cancer"].divide(4, 0).hospitals[1]


def trained(
    mu: float, epochs: int = 3, batch_size: int = 32, learning_rate: float = 0.05
) -> TumourClassifier:
    model = TumourClassifier(hidden=8, seed=0)
    train(model, PATIENTS, Training(epochs, learning_rate, batch_size, mu), seed=(0, 1))
    return model


def same(one: TumourClassifier, other: TumourClassifier) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


# FedProx


def test_fedprox_with_mu_0_is_plain_training_bit_for_bit() -> None:
    plain = TumourClassifier(hidden=8, seed=0)
    train(plain, PATIENTS, Training(3, 0.05, 32), seed=(0, 1))
    assert same(trained(mu=0.0), plain)


def test_the_proximal_term_acts_from_the_second_step_on() -> None:
    everyone = len(PATIENTS)
    assert same(trained(0.0, epochs=1, batch_size=everyone), trained(5.0, epochs=1, batch_size=everyone))
    assert not same(trained(0.0, epochs=2, batch_size=everyone), trained(5.0, epochs=2, batch_size=everyone))


def test_the_reported_loss_excludes_the_proximal_term() -> None:
    features = np.zeros((4, FEATURES), np.float32)
    model = TumourClassifier(hidden=8, seed=0)
    loss = train(model, Patients(features, np.zeros(4, np.int64)), Training(30, 0.1, 4, mu=5.0), seed=(0,))
    assert loss < 0.69


# Digits


@pytest.mark.parametrize("sites", [2, 3, 4, 7, 20])
def test_each_site_has_five_classes_and_every_image_is_used_once(sites: int) -> None:
    cohort = divide_digits(sites, seed=1)
    seen = [set(np.unique(part.labels)) for part in cohort.hospitals]
    assert all(len(classes) == CLASSES_PER_SITE for classes in seen)
    assert set().union(*seen) == set(range(10))
    assert sum(map(len, cohort.hospitals)) + len(cohort.test) == 1797
    assert set(np.unique(cohort.test.labels)) == set(range(10))


def test_together_the_sites_have_every_class() -> None:
    for sites in range(2, 40):
        assert set().union(*(classes_of(site, sites) for site in range(sites))) == set(range(10))


# Reference accuracies, with 4 sites and seed 0


def test_pooled_and_local_training_on_digits_reach_their_reference() -> None:
    parameters = HospitalParameters(dataset="digits")
    cohort = DATASETS["digits"].divide(4, parameters.seed)
    training = Training(parameters.rounds * parameters.local_epochs, parameters.learning_rate, 32)

    def accuracy(patients: Patients, index: int) -> float:
        model = DATASETS["digits"].model(parameters.hidden, parameters.seed)
        train(model, patients, training, seed=(parameters.seed, index))
        return measure(model, cohort.test).accuracy

    assert accuracy(cohort.pooled, 4) == pytest.approx(0.969, abs=0.015)
    local = [accuracy(patients, index) for index, patients in enumerate(cohort.hospitals)]
    assert np.mean(local) == pytest.approx(0.485, abs=0.03)


@pytest.mark.parametrize(
    ("dataset", "algorithm", "accuracy"),
    [
        ("breast_cancer", "fedprox", 0.993),
        ("digits", "fedavg", 0.965),
        ("digits", "fedadagrad", 0.958),
    ],
)
def test_federated_training_reaches_its_reference(dataset: str, algorithm: str, accuracy: float) -> None:
    reached = average(HospitalParameters(dataset=dataset, algorithm=algorithm), hospitals=4)
    assert reached.final.accuracy == pytest.approx(accuracy, abs=0.015)

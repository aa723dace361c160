"""Algorithms and data sets of the job `hospital`, each against its reference accuracy."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.hospital.data import FEATURES, Patients
from fl_app.jobs.hospital.datasets import DIVISIONS
from fl_app.jobs.hospital.digits import CLASSES_PER_SITE, classes_of, divide_digits
from fl_app.jobs.hospital.job import TAU, HospitalParameters, recipe
from fl_app.jobs.hospital.model import MODELS, TumourClassifier
from fl_app.jobs.hospital.training import Training, measure, train
from fl_app.jobs.shared.adagrad import ServerAdagrad
from tests.unit.hospital.averaging import average

PATIENTS = DIVISIONS["breast_cancer"](4, 0).hospitals[1]


def trained(
    mu: float, epochs: int = 3, batch_size: int = 32, learning_rate: float = 0.05
) -> TumourClassifier:
    model = TumourClassifier(hidden=8, seed=0)
    train(model, PATIENTS, Training(epochs, learning_rate, batch_size, mu), seed=(0, 1))
    return model


def drift(model: TumourClassifier) -> float:
    start = TumourClassifier(hidden=8, seed=0)
    squares = [
        (after - before).square().sum()
        for after, before in zip(model.parameters(), start.parameters(), strict=True)
    ]
    return torch.stack(squares).sum().sqrt().item()


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


def test_a_larger_mu_keeps_a_site_closer_to_the_global_model() -> None:
    drifts = [drift(trained(mu, epochs=20)) for mu in (0.0, 0.01, 0.1, 1.0, 5.0)]
    assert drifts == sorted(drifts, reverse=True)
    assert drifts[-1] < 0.5 * drifts[0]


def test_the_reported_loss_excludes_the_proximal_term() -> None:
    features = np.zeros((4, FEATURES), np.float32)
    model = TumourClassifier(hidden=8, seed=0)
    loss = train(model, Patients(features, np.zeros(4, np.int64)), Training(30, 0.1, 4, mu=5.0), seed=(0,))
    assert loss < 0.69


# Adagrad at the server


def test_adagrad_divides_each_update_by_the_root_of_its_summed_squares() -> None:
    adagrad = ServerAdagrad(0.5, TAU)
    weights = {"w": torch.tensor([1.0, 2.0])}
    first = adagrad.step(weights, {"w": torch.tensor([1.3, 2.0])})
    torch.testing.assert_close(first["w"], torch.tensor([1.0 + 0.5 * 0.3 / (0.3 + TAU), 2.0]))
    second = adagrad.step(first, {"w": first["w"] + torch.tensor([0.4, -0.4])})
    expected = first["w"] + 0.5 * torch.tensor([0.4 / (0.5 + TAU), -0.4 / (0.4 + TAU)])
    torch.testing.assert_close(second["w"], expected)


def test_adagrad_does_not_modify_its_arguments() -> None:
    weights, mean = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    before = copy.deepcopy((weights, mean))
    ServerAdagrad(0.5, TAU).step(weights, mean)
    assert torch.equal(weights["w"], before[0]["w"])
    assert torch.equal(mean["w"], before[1]["w"])


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


@pytest.mark.parametrize("sites", [0, 1, 90])
def test_an_unsupported_number_of_sites_is_rejected(sites: int) -> None:
    names = [f"site-{number}" for number in range(sites)]
    with pytest.raises(ValueError, match=f"{sites} sites"):
        recipe(HospitalParameters(dataset="digits"), names)


# Reference accuracies, with 4 sites and seed 0


def test_pooled_and_local_training_on_digits_reach_their_reference() -> None:
    parameters = HospitalParameters(dataset="digits")
    cohort = DIVISIONS["digits"](4, parameters.seed)
    training = Training(parameters.rounds * parameters.local_epochs, parameters.learning_rate, 32)

    def accuracy(patients: Patients, index: int) -> float:
        model = MODELS["digits"](parameters.hidden, parameters.seed)
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


# Parameters


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["dataset=iris"], "'breast_cancer' or 'digits'"),
        (["algorithm=FedProx"], "'fedavg', 'fedprox' or 'fedadagrad'"),
        (["mu=0.1"], "mu needs algorithm=fedprox; fedavg ignores it"),
        (["algorithm=fedadagrad", "mu=0.1"], "fedadagrad ignores it"),
        (["algorithm=fedprox", "server_learning_rate=1"], "server_learning_rate needs algorithm=fedadagrad"),
        (["algorithm=fedprox", "mu=-1"], "greater than or equal to 0"),
        (["algorithm=fedprox", "mu=nan"], "mu=nan"),
        (["algorithm=fedadagrad", "server_learning_rate=0"], "greater than 0"),
    ],
)
def test_an_invalid_or_ignored_parameter_is_rejected(settings: list[str], message: str) -> None:
    with pytest.raises(InputError) as error:
        read_parameters(find_job("hospital"), settings)
    assert message in str(error.value)

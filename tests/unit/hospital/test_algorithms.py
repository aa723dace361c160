"""The algorithms of the job `hospital`: FedProx and server-side Adagrad, and the data set of digits."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional

from deploy.errors import InputError
from deploy.session.parameters import find_job, read_parameters
from fl_app.jobs.hospital.adagrad import TAU, ServerAdagrad
from fl_app.jobs.hospital.data import FEATURES, Patients
from fl_app.jobs.hospital.datasets import DIVISIONS
from fl_app.jobs.hospital.digits import CLASSES_A_SITE, classes_of, divide_digits
from fl_app.jobs.hospital.job import HospitalParameters, recipe
from fl_app.jobs.hospital.model import MODELS, TumourClassifier
from fl_app.jobs.hospital.training import Training, measure, proximal_term, train
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


def test_without_mu_fedprox_is_plain_training_bit_for_bit() -> None:
    plain = TumourClassifier(hidden=8, seed=0)
    train(plain, PATIENTS, Training(3, 0.05, 32), seed=(0, 1))
    assert same(trained(mu=0.0), plain)


def test_the_gradient_is_that_of_the_loss_and_mu_times_the_way_from_the_global_model() -> None:
    model = TumourClassifier(hidden=8, seed=0)
    anchor = [weight.detach().clone() + 0.1 for weight in model.parameters()]
    features, labels = torch.from_numpy(PATIENTS.features), torch.from_numpy(PATIENTS.labels)
    loss = functional.cross_entropy(model(features), labels)
    plain = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    whole = torch.autograd.grad(loss + proximal_term(model, anchor, mu=0.7), list(model.parameters()))
    for with_term, without, weight, held in zip(whole, plain, model.parameters(), anchor, strict=True):
        torch.testing.assert_close(with_term, without + 0.7 * (weight - held))


def test_the_term_acts_from_the_second_step_on_since_it_is_part_of_what_backward_sees() -> None:
    everyone = len(PATIENTS)
    assert same(trained(0.0, epochs=1, batch_size=everyone), trained(5.0, epochs=1, batch_size=everyone))
    assert not same(trained(0.0, epochs=2, batch_size=everyone), trained(5.0, epochs=2, batch_size=everyone))


def test_the_stronger_the_term_the_nearer_a_site_stays() -> None:
    drifts = [drift(trained(mu, epochs=20)) for mu in (0.0, 0.01, 0.1, 1.0, 5.0)]
    assert drifts == sorted(drifts, reverse=True)
    assert drifts[-1] < 0.5 * drifts[0]


def test_the_loss_that_is_reported_is_that_of_the_patients_alone() -> None:
    features = np.zeros((4, FEATURES), np.float32)
    model = TumourClassifier(hidden=8, seed=0)
    loss = train(model, Patients(features, np.zeros(4, np.int64)), Training(30, 0.1, 4, mu=5.0), seed=(0,))
    assert loss < 0.69


# Adagrad at the server


def test_each_weight_steps_by_its_update_over_the_root_of_its_summed_squares() -> None:
    adagrad = ServerAdagrad(learning_rate=0.5)
    weights = {"w": torch.tensor([1.0, 2.0])}
    first = adagrad.step(weights, {"w": torch.tensor([1.3, 2.0])})
    torch.testing.assert_close(first["w"], torch.tensor([1.0 + 0.5 * 0.3 / (0.3 + TAU), 2.0]))
    second = adagrad.step(first, {"w": first["w"] + torch.tensor([0.4, -0.4])})
    expected = first["w"] + 0.5 * torch.tensor([0.4 / (0.5 + TAU), -0.4 / (0.4 + TAU)])
    torch.testing.assert_close(second["w"], expected)


def test_a_step_leaves_what_it_was_given_as_it_is() -> None:
    weights, mean = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    before = copy.deepcopy((weights, mean))
    ServerAdagrad(0.5).step(weights, mean)
    assert torch.equal(weights["w"], before[0]["w"])
    assert torch.equal(mean["w"], before[1]["w"])


# Digits


@pytest.mark.parametrize("sites", [2, 3, 4, 7, 20])
def test_each_site_sees_five_classes_all_sites_see_all_and_no_image_is_twice(sites: int) -> None:
    cohort = divide_digits(sites, seed=1)
    seen = [set(np.unique(part.labels)) for part in cohort.hospitals]
    assert all(len(classes) == CLASSES_A_SITE for classes in seen)
    assert set().union(*seen) == set(range(10))
    assert sum(map(len, cohort.hospitals)) + len(cohort.test) == 1797
    assert set(np.unique(cohort.test.labels)) == set(range(10))


def test_every_class_is_at_some_site_however_many_sites_there_are() -> None:
    for sites in range(2, 40):
        assert set().union(*(classes_of(site, sites) for site in range(sites))) == set(range(10))


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    from fl_app.jobs.hospital.digits import _read

    pixels, labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(_read()[0], pixels)
    np.testing.assert_array_equal(_read()[1], labels)


@pytest.mark.parametrize("sites", [0, 1, 90])
def test_sites_that_the_digits_cannot_be_divided_over_are_refused(sites: int) -> None:
    names = [f"site-{number}" for number in range(sites)]
    with pytest.raises(ValueError, match=f"{sites} sites"):
        recipe(HospitalParameters(dataset="digits"), names)


# References: what each must come to, with 4 sites and seed 0


def test_digits_in_one_place_and_at_each_site_alone_come_to_their_reference() -> None:
    parameters = HospitalParameters(dataset="digits")
    cohort = DIVISIONS["digits"](4, parameters.seed)
    passes = Training(parameters.rounds * parameters.local_epochs, parameters.learning_rate, 32)

    def accuracy(patients: Patients, index: int) -> float:
        model = MODELS["digits"](parameters.hidden, parameters.seed)
        train(model, patients, passes, seed=(parameters.seed, index))
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
def test_federated_training_comes_to_its_reference(dataset: str, algorithm: str, accuracy: float) -> None:
    reached = average(HospitalParameters(dataset=dataset, algorithm=algorithm), hospitals=4)
    assert reached.final.accuracy == pytest.approx(accuracy, abs=0.015)


# Parameters


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["dataset=iris"], "'breast_cancer' or 'digits'"),
        (["algorithm=FedProx"], "'fedavg', 'fedprox' or 'fedadagrad'"),
        (["mu=0.1"], "mu is of algorithm=fedprox; fedavg would ignore it"),
        (["algorithm=fedadagrad", "mu=0.1"], "fedadagrad would ignore it"),
        (["algorithm=fedprox", "server_learning_rate=1"], "server_learning_rate is of algorithm=fedadagrad"),
        (["algorithm=fedprox", "mu=-1"], "greater than or equal to 0"),
        (["algorithm=fedprox", "mu=nan"], "mu=nan"),
        (["algorithm=fedadagrad", "server_learning_rate=0"], "greater than 0"),
    ],
)
def test_what_makes_no_sense_or_would_be_ignored_is_refused(settings: list[str], complaint: str) -> None:
    with pytest.raises(InputError) as refusal:
        read_parameters(find_job("hospital"), settings)
    assert complaint in str(refusal.value)

"""Training and evaluation at a site of the job `hospital`."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fl_app.jobs.hospital.client import Hospital
from fl_app.jobs.hospital.data import BENIGN, MALIGNANT, Patients, divide
from fl_app.jobs.hospital.job import HospitalParameters, recipe
from fl_app.jobs.hospital.model import TumourClassifier
from fl_app.jobs.hospital.training import Training, measure, train
from fl_app.jobs.training import Round, Site
from tests.unit.hospital.averaging import average


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    first, second = _trained(seed=(0, 1, 2)), _trained(seed=(0, 1, 2))

    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("seed", [(0, 2, 1), (1, 1, 2), (0, 1)])
def test_the_training_order_depends_on_hospital_round_and_seed(seed: tuple[int, ...]) -> None:
    one, other = _trained(seed=(0, 1, 2)), _trained(seed=seed)

    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_model_neither_uses_nor_changes_the_global_random_state() -> None:
    first = TumourClassifier(hidden=8, seed=5).state_dict()
    torch.manual_seed(99)
    drawn = torch.rand(1)
    torch.manual_seed(99)

    second = TumourClassifier(hidden=8, seed=5).state_dict()

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.rand(1), drawn), "building a model must not change the global random state"


def test_metrics_count_missed_tumours_and_false_alarms() -> None:
    labels = np.array([MALIGNANT, MALIGNANT, BENIGN, BENIGN, BENIGN])
    features = np.zeros((5, 30), np.float32)
    features[:, 0] = [1, -1, 1, 1, -1]  # classified as malignant, benign, malignant, malignant, benign

    metrics = measure(_by_sign_of_first_feature(), Patients(features, labels))

    assert (metrics.missed, metrics.false_alarms) == (1, 2)
    assert metrics.accuracy == pytest.approx(2 / 5)


def test_federated_averaging_approaches_central_training_and_beats_local_training() -> None:
    from deploy.demo.comparison import _evaluate, _train

    parameters = HospitalParameters()
    cohort = divide(4, parameters.seed)

    federated = average(parameters, hospitals=4).final.accuracy

    alone = [_evaluate(_train(parameters, part, i), cohort.test) for i, part in enumerate(cohort.hospitals)]
    central = _evaluate(_train(parameters, cohort.pooled, 4), cohort.test)
    assert federated > central.accuracy - 0.02
    assert federated > np.mean([result.accuracy for result in alone]) + 0.10


def test_a_hospital_logs_its_metrics_and_returns_its_weights(hospital: _LoggingHospital) -> None:
    model = TumourClassifier(hidden=8, seed=0)
    received = {name: value.clone() for name, value in model.state_dict().items()}

    result = hospital.train(dict(received), Round(number=4, total=5))

    cohort = divide(2, seed=0)
    assert result.examples == len(cohort.hospitals[1])
    assert result.metrics == {"own_accuracy": measure(model, cohort.hospitals[1]).accuracy}
    assert hospital.logged["accuracy"] == (measure(model, cohort.test).accuracy, 4)
    expected = TumourClassifier(hidden=8, seed=0)
    train(expected, cohort.hospitals[1], Training(1, 0.05, 16), seed=(0, 1, 3))
    assert hospital.logged["accuracy_after_training"] == (measure(expected, cohort.test).accuracy, 4)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(result.weights[name], value, rtol=0, atol=0)


def test_the_best_model_is_chosen_on_the_hospitals_own_patients(tmp_path) -> None:
    recipe(HospitalParameters(), ["a", "b"]).export(str(tmp_path))

    server = json.loads(next(tmp_path.rglob("config_fed_server.json")).read_text())

    (selector,) = (one for one in server["components"] if one["id"] == "model_selector")
    assert selector["args"]["key_metric"] == "own_accuracy"


def test_a_hospital_outside_of_the_job_is_rejected(tmp_path) -> None:
    stranger = _LoggingHospital(["a", "b"], _SETTINGS)

    with pytest.raises(ValueError, match="c is not among the job's sites: a, b"):
        stranger.begin(Site("c", "job", tmp_path))


_SETTINGS = {"seed": 0, "hidden": 8, "local_epochs": 1, "learning_rate": 0.05, "batch_size": 16}


class _LoggingHospital(Hospital):
    """A hospital that keeps its logged values."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.logged: dict[str, tuple[float, int]] = {}

    def log(self, tag: str, value: float, step: int) -> None:
        self.logged[tag] = (value, step)


@pytest.fixture
def hospital(tmp_path) -> _LoggingHospital:
    made = _LoggingHospital(["north", "south"], _SETTINGS)
    made.begin(Site("south", "job", tmp_path))
    return made


def _trained(seed: tuple[int, ...]) -> dict[str, torch.Tensor]:
    model = TumourClassifier(hidden=8, seed=0)
    train(model, divide(4, seed=0).hospitals[2], Training(2, 0.05, 32), seed)
    return model.state_dict()


def _by_sign_of_first_feature() -> torch.nn.Module:
    model = torch.nn.Linear(30, 2)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
        model.weight[MALIGNANT, 0] = 1
    return model

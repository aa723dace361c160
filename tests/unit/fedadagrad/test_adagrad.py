"""FedAdagrad: the server's step, the metadata that sites receive, and the accuracy of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.jobs.fedadagrad.controller import DigitController
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.schedule import sample
from fl_app.jobs.shared.adagrad import FedAdagrad
from fl_app.jobs.shared.classifier import DigitClassifier
from tests.unit.fedadagrad.reference import Adagrad, run

ETA, TAU = 0.05, 1e-3


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> DigitController:
    """A controller without a server; evaluate_every is too large for any evaluation."""
    monkeypatch.setattr(FedAdagrad, "event", lambda self, event_type: None)
    parameters = DigitParameters(rounds=100, server_learning_rate=ETA, tau=TAU, evaluate_every=1000, hidden=3)
    made = DigitController(2, parameters.model_dump())
    made.fl_ctx = FLContext()
    return made


def test_each_update_follows_the_papers_formula(controller: DigitController) -> None:
    random = np.random.default_rng(0)
    reference = Adagrad(ETA, TAU)
    model = FLModel(params=dict(DigitClassifier(hidden=3, seed=0).state_dict()))
    expected = {name: value.numpy().astype(np.float64) for name, value in model.params.items()}

    for controller.current_round in range(6):
        before = {name: value.clone() for name, value in model.params.items()}
        average = {
            name: value + torch.tensor(random.normal(0, 0.1, value.shape), dtype=torch.float32)
            for name, value in before.items()
        }
        update = {name: (average[name] - before[name]).numpy().astype(np.float64) for name in expected}
        expected = reference.step(expected, update)

        model = controller.update_model(model, FLModel(params=average))

        for name, value in expected.items():
            np.testing.assert_allclose(model.params[name].numpy(), value, atol=1e-5)


def test_sites_receive_the_learning_rate_and_no_data_of_other_sites(
    controller: DigitController, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        FedAdagrad, "send_model", lambda self, *args, data, **more: sent.append(dict(data.meta))
    )
    for controller.current_round in (0, 4, 5, 10):
        controller.send_model(
            data=FLModel(params={"a": 1}, meta={"site_weights": [{"name": "z", "weight": 3}]})
        )
    assert sent == [{"learning_rate": rate} for rate in (0.01, 0.01, 0.005, 0.0025)]


def test_the_reference_reaches_its_accuracy() -> None:
    parameters, sites = DigitParameters(), [f"site-{number}" for number in range(4)]
    sampled = [sample(sites, 0.5, parameters.seed, round) for round in range(parameters.rounds)]

    accuracy = run(parameters, sites, sampled).accuracy

    assert accuracy[0] < 0.4
    assert accuracy[7] > 0.9
    assert max(accuracy) >= 0.97

"""The arithmetic of the server's step, and what a plain loop with it comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.fuel.utils.class_utils import instantiate_class

from fl_app.jobs.fedadagrad.controller import FedAdagrad
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.model import DigitReader
from fl_app.jobs.fedadagrad.schedule import sample
from tests.unit.fedadagrad.reference import Adagrad, run

ETA, TAU = 0.05, 1e-3


class WithRunningMean(DigitReader):
    """Some of what a model keeps is no parameter."""

    def __init__(self) -> None:
        super().__init__(hidden=3, seed=0)
        self.register_buffer("mean", torch.zeros(4))


@pytest.fixture
def controller() -> FedAdagrad:
    """As NVFlare makes it, but without a server around it: no evaluation."""
    made = FedAdagrad(
        source_model=WithRunningMean(),
        num_rounds=100,
        sites=2,
        fraction_train=0.5,
        learning_rate=0.01,
        halve_every=5,
        server_learning_rate=ETA,
        tau=TAU,
        evaluate_every=1000,
        seed=0,
        hidden=3,
    )
    made.torch_model = made.source_model
    made.optimizer = _build(made.optimizer_args, params=made.torch_model.parameters())
    made.lr_scheduler = _build(made.lr_scheduler_args, optimizer=made.optimizer)
    return made


def test_each_step_is_the_papers_and_what_is_no_parameter_becomes_the_average(controller: FedAdagrad) -> None:
    random = np.random.default_rng(0)
    reference = Adagrad(ETA, TAU)
    model = FLModel(
        params={name: value.clone() for name, value in controller.torch_model.state_dict().items()}
    )
    expected = {
        name: value.numpy().astype(np.float64) for name, value in model.params.items() if name != "mean"
    }

    for round in range(6):
        controller.current_round = round
        average = {
            name: value + torch.tensor(random.normal(0, 0.1, value.shape), dtype=torch.float32)
            for name, value in model.params.items()
        }
        update = {name: (average[name] - model.params[name]).numpy().astype(np.float64) for name in expected}
        expected = reference.step(expected, update)

        model = controller.update_model(model, FLModel(params=average))

        for name, value in expected.items():
            np.testing.assert_allclose(model.params[name].numpy(), value, atol=1e-5)
        torch.testing.assert_close(model.params["mean"], average["mean"], rtol=0, atol=0)
        assert all(type(value) is torch.Tensor for value in model.params.values())


def test_sites_are_told_the_learning_rate_and_nothing_about_each_other(
    controller: FedAdagrad, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        FedAdagrad.__mro__[1], "send_model", lambda self, *args, data, **more: sent.append(dict(data.meta))
    )
    for controller.current_round in (0, 4, 5, 10):
        controller.send_model(
            data=FLModel(params={"a": 1}, meta={"site_weights": [{"name": "z", "weight": 3}]})
        )
    assert sent == [{"learning_rate": rate} for rate in (0.01, 0.01, 0.005, 0.0025)]


def test_the_algorithm_reads_digits_as_well_as_the_reference_says() -> None:
    parameters, sites = DigitParameters(), [f"site-{number}" for number in range(4)]
    sampled = [sample(sites, 0.5, parameters.seed, round) for round in range(parameters.rounds)]

    accuracy = run(parameters, sites, sampled).accuracy

    assert accuracy[0] < 0.4
    assert accuracy[7] > 0.9
    assert max(accuracy) >= 0.97


def _build(described: dict[str, Any], **more: Any) -> Any:
    return instantiate_class(described["path"], {**described["args"], **more})

"""What the guard expects of the results of each workflow."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.app_common.aggregators.collect_and_assemble_aggregator import CollectAndAssembleAggregator
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.cross_site_model_eval import CrossSiteModelEval
from nvflare.app_common.workflows.cyclic_ctl import CyclicController
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.lr.fedavg import FedAvgLR
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.app_common.workflows.scaffold import Scaffold
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.app_opt.pt.fedopt_ctl import FedOpt

from fl_app.guard.workflows import Expectations, KeyMetric, expectations_of
from fl_app.jobs.fedadagrad.controller import DigitController
from fl_app.jobs.shared.adagrad import FedAdagrad


class Custom(ModelController):
    """A custom workflow."""

    def run(self) -> None: ...


class CustomKeepingShape(Custom):
    keeps_model_shape = True


class CustomAveraging(FedAvg):
    def _aggregate_one_result(self, result: Any) -> bool:
        return True


class CustomAggregator(ModelAggregator):
    def accept_model(self, model: Any) -> None: ...

    def aggregate_model(self) -> Any: ...

    def reset_stats(self) -> None: ...


AVERAGED = {"aggregator": InTimeAccumulateWeightedAggregator()}
ASSEMBLED = {"aggregator": CollectAndAssembleAggregator(assembler_id="assembler")}
DIGITS = DigitController(sites=2, parameters={"rounds": 1})


@pytest.mark.parametrize(
    ("controller", "components"),
    [
        (FedAvg(num_clients=2), {}),
        (FedOpt(num_clients=2, source_model="model", optimizer_args={}), {}),
        (Scaffold(num_clients=2), {}),
        (ScatterAndGather(), AVERAGED),
        (CyclicController(num_rounds=1), {}),
        (CustomKeepingShape(), {}),
        (FedAdagrad(num_clients=2, num_rounds=1, server_learning_rate=0.1, tau=0.1), {}),
        (DIGITS, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_workflow_that_averages_or_relays_models_expects_their_shape(
    controller: Any, components: dict[str, Any]
) -> None:
    assert expectations_of(controller, components).keeps_shape


@pytest.mark.parametrize(
    ("controller", "components"),
    [
        (Custom(), {}),
        (FedAvgLR(damping_factor=0.5), {}),
        (ScatterAndGather(), ASSEMBLED),
        (ScatterAndGather(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_guard_expects_nothing_of_an_unknown_workflow(
    controller: Any, components: dict[str, Any]
) -> None:
    expected = expectations_of(controller, components)
    assert not expected.keeps_shape
    assert not expected.training_tasks


@pytest.mark.parametrize(
    "controller", [CustomAveraging(num_clients=2), FedAvg(num_clients=2, aggregator=CustomAggregator())]
)
def test_custom_averaging_may_change_shapes_and_needs_parameters(controller: FedAvg) -> None:
    expected = expectations_of(controller, {})
    assert not expected.keeps_shape
    assert expected.training_tasks == {"train"}


def test_a_training_task_may_have_another_name() -> None:
    assert expectations_of(FedAvg(num_clients=2, task_name="fit"), {}).training_tasks == {"fit"}


def test_the_key_metric_is_that_of_the_model_selector() -> None:
    selector = {"model_selector": IntimeModelSelector(key_metric="auc")}
    assert expectations_of(FedAvg(num_clients=2), selector).key_metric == KeyMetric("auc", "max")
    assert expectations_of(FedAvg(num_clients=2), {}).key_metric is None


def test_a_cross_site_evaluation_has_only_evaluation_tasks() -> None:
    assert expectations_of(CrossSiteModelEval(), {}) == Expectations(
        evaluation_tasks=frozenset({"validate", "submit_model"})
    )


def test_the_guard_expects_nothing_between_two_workflows() -> None:
    assert expectations_of(None, {}) == Expectations()

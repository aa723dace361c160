"""Of which workflows the guard knows what holds for their results."""

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

from fl_app.guard.workflows import Promise, promise_of
from fl_app.jobs.fedadagrad.controller import DigitController
from fl_app.jobs.shared.adagrad import FedAdagrad


class Own(ModelController):
    """A workflow that nobody but its author knows."""

    def run(self) -> None: ...


class OwnButTheSameModel(Own):
    keeps_model_shape = True


class OwnAveraging(FedAvg):
    def _aggregate_one_result(self, result: Any) -> bool:
        return True


class OwnAggregator(ModelAggregator):
    def accept_model(self, model: Any) -> None: ...

    def aggregate_model(self) -> Any: ...

    def reset_stats(self) -> None: ...


AVERAGED = {"aggregator": InTimeAccumulateWeightedAggregator()}
ASSEMBLED = {"aggregator": CollectAndAssembleAggregator(assembler_id="assembler")}
DIGITS = DigitController(
    num_rounds=1,
    sites=2,
    fraction_train=1.0,
    learning_rate=0.1,
    halve_every=1,
    server_learning_rate=0.1,
    tau=0.1,
    evaluate_every=1,
    seed=0,
    hidden=2,
)


@pytest.mark.parametrize(
    ("controller", "components"),
    [
        (FedAvg(num_clients=2), {}),
        (FedOpt(num_clients=2, source_model="model", optimizer_args={}), {}),
        (Scaffold(num_clients=2), {}),
        (ScatterAndGather(), AVERAGED),
        (CyclicController(num_rounds=1), {}),
        (OwnButTheSameModel(), {}),
        (FedAdagrad(num_clients=2, num_rounds=1, server_learning_rate=0.1, tau=0.1), {}),
        (DIGITS, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_where_models_are_averaged_or_passed_on_they_must_keep_their_shape(
    controller: Any, components: dict[str, Any]
) -> None:
    assert promise_of(controller, components).keeps_shape


@pytest.mark.parametrize(
    ("controller", "components"),
    [
        (Own(), {}),
        (FedAvgLR(damping_factor=0.5), {}),
        (ScatterAndGather(), ASSEMBLED),
        (ScatterAndGather(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_of_a_workflow_that_it_does_not_know_the_guard_asks_nothing(
    controller: Any, components: dict[str, Any]
) -> None:
    promise = promise_of(controller, components)
    assert not promise.keeps_shape
    assert not promise.wants_parameters


@pytest.mark.parametrize(
    "controller", [OwnAveraging(num_clients=2), FedAvg(num_clients=2, aggregator=OwnAggregator())]
)
def test_averaging_of_ones_own_may_change_shapes_and_still_needs_parameters(controller: FedAvg) -> None:
    promise = promise_of(controller, {})
    assert not promise.keeps_shape
    assert promise.wants_parameters == {"train"}


def test_a_training_task_of_another_name_is_known() -> None:
    assert promise_of(FedAvg(num_clients=2, task_name="fit"), {}).wants_parameters == {"fit"}


def test_the_key_metric_is_the_one_of_the_selector_and_none_without() -> None:
    selector = {"model_selector": IntimeModelSelector(key_metric="auc")}
    assert promise_of(FedAvg(num_clients=2), selector).key_metric == "auc"
    assert promise_of(FedAvg(num_clients=2), {}).key_metric == ""


def test_an_evaluation_is_judged_by_its_own_tasks_alone() -> None:
    assert promise_of(CrossSiteModelEval(), {}) == Promise(evaluates=frozenset({"validate", "submit_model"}))


def test_without_a_workflow_nothing_is_asked() -> None:
    assert promise_of(None, {}) == Promise()

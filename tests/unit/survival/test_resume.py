"""A job whose server process is killed in any round ends with the model of a job that ran undisturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.apis.client import Client
from nvflare.apis.dxo import DataKind, MetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.cyclic import Cyclic
from nvflare.app_common.workflows.cyclic_ctl import CyclicController, RelayOrder
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.lr.fedavg import FedAvgLR
from nvflare.app_common.workflows.scaffold import Scaffold
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather
from nvflare.app_opt.pt.fedopt import PTFedOptModelShareableGenerator
from nvflare.app_opt.pt.fedopt_ctl import FedOpt

from fl_app.jobs.shared.quorum import QuorumFedAvg
from fl_app.survival.workflows import workflow_of
from tests.unit.guard.in_process import Job, Memory
from tests.unit.survival.two_lives import (
    SITES,
    Life,
    assert_same_bits,
    killed_and_resumed,
    last_model,
    live,
    training,
)

ROUNDS = 5
STEPS = MetaKey.NUM_STEPS_CURRENT_ROUND


def arrays() -> dict[str, Any]:
    return {
        "weight": np.linspace(0, 1, 600, dtype=np.float32).reshape(2, 300),
        "bias": np.zeros(3, np.float32),
    }


def tensors(dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    return {name: torch.from_numpy(value).to(dtype) for name, value in arrays().items()}


def answer(site: str, received: FLModel) -> FLModel:
    metrics = {"accuracy": [0.1, 0.5, 0.9, 0.2, 0.3][received.current_round]}
    return FLModel(params=training(site, received), metrics=metrics, meta={STEPS: 7 * int(site[-1])})


def difference(site: str, received: FLModel) -> FLModel:
    after = training(site, received)
    step = {name: value - received.params[name] for name, value in after.items()}
    return FLModel(params=step, params_type=ParamsType.DIFF, meta={STEPS: 7 * int(site[-1])})


def job(controller: Any, model: Any, train: Any = answer, **components: Any) -> Job:
    parts = {"persistor": Memory(model), "selector": IntimeModelSelector(key_metric="accuracy")}
    return Job([controller], train, components={**parts, **components}, sites=SITES)


def averaging(kind: Any = FedAvg, **more: Any) -> Any:
    return kind(num_clients=3, num_rounds=ROUNDS, persistor_id="persistor", **more)


def gathering() -> ScatterAndGather:
    return ScatterAndGather(
        min_clients=3,
        num_rounds=ROUNDS,
        wait_time_after_min_received=0,
        persistor_id="persistor",
        task_check_period=0.01,
        snapshot_every_n_rounds=0,
        memory_gc_rounds=0,
    )


def gathering_job(train: Any = answer) -> Job:
    aggregator = InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHTS)
    generator = FullModelShareableGenerator()
    return job(gathering(), arrays(), train, shareable_generator=generator, aggregator=aggregator)


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(0, 1, 600).reshape(2, 300))
        self.norm = torch.nn.BatchNorm1d(3)


OPTIMIZER = {"path": "torch.optim.Adam", "args": {"lr": 0.1}}
SCHEDULER = {"path": "torch.optim.lr_scheduler.StepLR", "args": {"step_size": 1, "gamma": 0.5}}


def copies(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "args": dict(settings["args"])}


def float_difference(site: str, received: FLModel) -> FLModel:
    answered = difference(site, received)
    answered.params = {name: value for name, value in answered.params.items() if "tracked" not in name}
    return answered


def fedopt_gathering() -> Job:
    net = Net()
    generator = PTFedOptModelShareableGenerator(
        copies(OPTIMIZER), copies(SCHEDULER), device="cpu", source_model=net
    )
    aggregator = InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHT_DIFF)
    model = {name: value.clone() for name, value in net.state_dict().items()}
    return job(gathering(), model, float_difference, shareable_generator=generator, aggregator=aggregator)


def fedopt_controller() -> Job:
    net = Net()
    controller = averaging(
        FedOpt,
        optimizer_args=copies(OPTIMIZER),
        lr_scheduler_args=copies(SCHEDULER),
        device="cpu",
        source_model=net,
    )
    model = {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}
    return job(controller, model, float_difference)


def scaffold() -> Job:
    def train(site: str, received: FLModel) -> FLModel:
        control = received.meta["scaffold_c_global"]
        after = {name: value + 0.1 * control[name] for name, value in training(site, received).items()}
        change = {name: 0.5 * (after[name] - received.params[name]) for name in after}
        return FLModel(params=after, meta={STEPS: int(site[-1]), "scaffold_c_diff": change})

    return job(averaging(Scaffold), arrays(), train)


def relay() -> Job:
    controller = CyclicController(num_rounds=ROUNDS, task_check_period=0.01, memory_gc_rounds=0)
    return job(controller, arrays(), shareable_generator=FullModelShareableGenerator())


def newton() -> Job:
    """Logistic regression: the sites return a gradient and a Hessian."""

    def train(site: str, received: FLModel) -> FLModel:
        weights = received.params["numpy_key"]
        gradient = training(site, received)["numpy_key"].reshape(-1)
        return FLModel(
            params={"gradient": gradient, "hessian": np.eye(len(weights)) * int(site[-1])}, meta={STEPS: 7}
        )

    controller = averaging(FedAvgLR, damping_factor=0.8, n_features=3)
    return job(controller, {"numpy_key": np.zeros(4)}, train)


WORKFLOWS: dict[str, Callable[[], Job]] = {
    "FedAvg, NumPy": lambda: job(averaging(), arrays()),
    "FedAvg, PyTorch": lambda: job(averaging(), tensors()),
    "FedAvg, bfloat16": lambda: job(averaging(), tensors(torch.bfloat16)),
    "FedAvg with a quorum": lambda: job(averaging(QuorumFedAvg, quorum=3), arrays()),
    "logistic regression": newton,
    "FedAvg of differences": lambda: job(averaging(), arrays(), difference),
    "FedProx": lambda: job(averaging(fedprox_mu=0.1), tensors()),
    "FedAvg with its own model": lambda: job(averaging(model=arrays()), {}),
    "ScatterAndGather": gathering_job,
    "FedOpt by ScatterAndGather": fedopt_gathering,
    "FedOpt by its controller": fedopt_controller,
    "SCAFFOLD": scaffold,
    "cyclic": lambda: job(averaging(Cyclic), arrays()),
    "cyclic by relay": relay,
}


def undisturbed(make: Callable[[], Job], folder: Path) -> Life:
    life = live(make, folder / "undisturbed")
    assert life.ended.panics == []
    assert life.rounds == list(range(ROUNDS))
    return life


@pytest.mark.parametrize("number", [0, 3, ROUNDS - 1])
@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_killed_job_goes_on_after_its_last_round_and_ends_with_the_same_bits(
    name: str, number: int, tmp_path: Path
) -> None:
    make = WORKFLOWS[name]
    before = undisturbed(make, tmp_path)

    second = killed_and_resumed(make, tmp_path, number)

    assert second.ended.panics == []
    assert second.rounds == list(range(number, ROUNDS))
    assert sorted(second.trained) == sorted((site, one) for site in SITES for one in range(number, ROUNDS))
    assert_same_bits(last_model(second), last_model(before))
    assert set(second.told) == set(before.told)


def test_results_wait_only_for_sites_that_take_part_in_the_round(tmp_path: Path) -> None:
    expected: dict[int, set[str]] = {}

    def train(site: str, received: FLModel) -> FLModel:
        expected[received.current_round] = set(WeightedAggregationHelper.sites_in_order())
        return answer(site, received)

    life = live(
        lambda: job(FedAvg(num_clients=2, num_rounds=ROUNDS, persistor_id="persistor"), arrays(), train),
        tmp_path,
    )

    assert expected == {n: {site for site, number in life.trained if number == n} for n in range(ROUNDS)}


def test_a_relay_in_random_order_knows_which_site_was_last() -> None:
    """It does not begin a round with the site that ended the one before."""
    lives = []
    for _ in range(2):
        controller = CyclicController(num_rounds=2, order=RelayOrder.RANDOM_WITHOUT_SAME_IN_A_ROW)
        controller._participating_clients = [Client(name, f"token-{name}") for name in ("a", "b")]
        controller._last_learnable = make_model_learnable({"w": np.ones(2)}, {})
        workflow = workflow_of(controller, {})
        assert workflow is not None
        lives.append((controller, workflow))
    (first, saved), (second, restored) = lives
    first._last_client = first._participating_clients[1]

    restored.after_start(saved.checkpoint(None))

    assert second._last_client is second._participating_clients[1]
    first._last_client = None
    restored.after_start(saved.checkpoint(None))
    assert second._last_client is None

"""The server's part of the job fedprox-vla, without a server: its average, and its end at an error."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nvflare.apis.dxo import MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_common.workflows.fedavg import FedAvg

from fl_app.jobs.fedprox_vla import controller as module
from fl_app.jobs.fedprox_vla.controller import EvaluatedFedProx
from fl_app.jobs.fedprox_vla.hub import HubError
from fl_app.jobs.fedprox_vla.job import VlaParameters

Make = Callable[..., EvaluatedFedProx]
EXAMPLES = (40, 57, 20_011)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a controller without a server and without events, which evaluates nothing."""
    monkeypatch.setattr(FedAvg, "event", lambda self, event_type: None)

    def make(**changes: Any) -> EvaluatedFedProx:
        given = VlaParameters(evaluate_every=1000, rounds=100, **changes).model_dump()
        made = EvaluatedFedProx(len(EXAMPLES), given)
        made.fl_ctx = FLContext()
        return made

    return make


def average(controller: EvaluatedFedProx, model: FLModel, change: float) -> FLModel:
    """Run a round as NVFlare does: each site changes `trained` and returns the rest as received."""
    controller._aggr_helper, controller._aggr_metrics_helper = (WeightedAggregationHelper() for _ in range(2))
    for index, examples in enumerate(EXAMPLES):
        params = {**model.params, "trained": model.params["trained"] + change * index}
        meta = {"client_name": f"lab-{index}", MetaKey.NUM_STEPS_CURRENT_ROUND: examples}
        controller._aggregate_one_result(FLModel(params=params, meta=meta))
    return controller.update_model(model, controller._get_aggregated_result())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_a_weight_that_no_site_changes_keeps_its_bits_over_several_rounds(
    make: Make, dtype: torch.dtype
) -> None:
    numbers = torch.randn(5000, generator=torch.Generator().manual_seed(0)).to(dtype)
    controller = make()
    model = FLModel(params={"frozen": numbers, "trained": numbers.clone(), "counter": torch.tensor(10_001)})

    for controller.current_round in range(5):
        model = average(controller, model, change=0.5)

    assert torch.equal(model.params["frozen"], numbers)
    assert torch.equal(model.params["counter"], torch.tensor(10_001))
    assert {name: value.dtype for name, value in model.params.items()} == {
        "frozen": dtype, "trained": dtype, "counter": torch.int64,
    }  # fmt: skip
    mean = sum(0.5 * index * examples for index, examples in enumerate(EXAMPLES)) / sum(EXAMPLES)
    torch.testing.assert_close(
        model.params["trained"].double(), numbers.double() + 5 * mean, rtol=0.01, atol=0.05
    )


def test_a_refusal_by_the_hub_ends_a_job_without_a_guard(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise HubError(f"the hub does not accept {name}", "Check the token")

    panics: list[str] = []
    controller = make(hub_repository="lab/arm")
    controller.fl_ctx.set_prop("__engine__", SimpleNamespace(fire_event=lambda *_: None), private=True)
    monkeypatch.setattr(module, "HubRepository", refuse)
    monkeypatch.setattr(EvaluatedFedProx, "system_panic", lambda self, reason, fl_ctx: panics.append(reason))

    controller.run()

    assert panics == ["server, hub_repository: the hub does not accept lab/arm. Check the token"]

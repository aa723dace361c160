"""Good jobs pass the guard: NVFlare's own controllers run in one process."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.fedavg import FedAvg

from tests.unit.guard.in_process import Ended, Job, run
from tests.unit.guard.scripts import (
    ACCURACY,
    ROUNDS,
    TRAINS,
    Script,
    at_sites,
    only_metrics,
    returning,
    train,
)


def half(value: Any) -> Any:
    return (value + 1).astype(np.float16)


def without(name: str) -> Script:
    """A site that returns one parameter less."""

    def answer(model: FLModel) -> FLModel:
        answered = TRAINS(model)
        del answered.params[name]
        return answered

    return answer


def mask_returned(model: FLModel) -> FLModel:
    return returning(lambda value: value if np.isinf(value).any() else value + 1, {"accuracy": 0.5})(model)


def counted(model: FLModel) -> FLModel:
    """A PyTorch site: it loads the averaged counter of its batch norm into an integer again."""
    answer = TRAINS(model)
    answer.params["counter"] = (np.asarray(model.params["counter"]) + 1).astype(np.int64)
    return answer


@dataclass(frozen=True)
class Good:
    """A job that must pass without a reason, and with at most these warnings."""

    what: str
    site: Script
    other: Script = TRAINS
    model: dict[str, Any] = field(default_factory=lambda: {"w": np.ones(4), "b": np.ones(2)})
    warnings: str = "nothing"
    selector: dict[str, Any] = field(default_factory=lambda: ACCURACY)


GOOD_JOBS = [
    Good(
        "a mask that holds -inf",
        mask_returned,
        mask_returned,
        {"w": np.ones(4), "mask": np.array([0.0, -np.inf])},
    ),
    Good("the counter of a batch norm", counted, counted, {"w": np.ones(4), "counter": np.int64(3)}),
    Good("a site that only evaluates", only_metrics, warnings="took no part"),
    Good("each site returns a part of the model", without("w"), without("b")),
    Good("frozen layers", lambda model: FLModel(
        params={**model.params, "b": model.params["b"] + 1}, metrics={"accuracy": 0.5},
        meta={"NUM_STEPS_CURRENT_ROUND": 1}), ),
    Good("one site that does not learn", returning(lambda value: value, {"accuracy": 0.5})),
    Good("a warm-up that begins without a change", *2 * [lambda model: returning(
        lambda value: value + model.current_round, {"accuracy": 0.5})(model)], warnings="no site changed"),
    Good("a single example", returning(train, {"accuracy": 0.5}, steps=1)),
    Good("a model that starts at zero", *2 * [returning(lambda value: value + 500.0, {"accuracy": 0.5})],
         model={"w": np.zeros(4)}),
    Good("an evaluation in every second round", *2 * [lambda model: returning(
        train, {"dice": 0.5} if model.current_round % 2 else {"train_loss": 1.0})(model)],
        warnings="is not among the metrics|a larger value", selector={"key_metric": "dice"}),
    Good("a constant that holds NaN", mask_returned, mask_returned,
         {"w": np.ones(4), "mask": np.array([0.0, np.inf, np.nan])}),
    Good("no metrics at all", *2 * [returning(train)]),
    Good("other metrics than NVFlare's default", *2 * [returning(train, {"g_loss": 1.0, "d_loss": 2.0})],
         warnings="key metric accuracy: is not among"),
    Good("noise around the first accuracy", *2 * [lambda model: returning(
        train, {"accuracy": 0.9 - 0.02 * model.current_round})(model)]),
    Good("float16 from the sites", *2 * [returning(half, {"accuracy": 1})]),
    Good("settings in place of a model", *2 * [lambda model: FLModel(
        params={"coef": np.ones(2)}, metrics={"accuracy": 0.5}, meta={"NUM_STEPS_CURRENT_ROUND": 1})],
        model={"n_classes": 2}, warnings="no site changed"),
    Good("no initial model", *2 * [lambda model: FLModel(
        params={"w": np.ones(2) + model.current_round}, meta={"NUM_STEPS_CURRENT_ROUND": 1})], model={}),
]  # fmt: skip


@pytest.mark.parametrize("job", GOOD_JOBS, ids=lambda job: job.what)
def test_a_good_job_passes(tmp_path: Path, job: Good) -> None:
    ended = run_good(tmp_path, job)

    assert ended.panics == []
    assert [line for line in ended.warnings if not re.search(job.warnings, line)] == []


def test_a_parameter_that_no_site_returns_would_be_lost(tmp_path: Path) -> None:
    ended = run_good(tmp_path, Good("", without("w"), without("w")))

    (reason,) = ended.reasons
    assert re.search(r"server, round 1, w: .*the sites did not return 1 parameter \(w\)", reason)


class Hidden(FedAvg):
    """A controller that stores the model in a way of its own, and under another name."""

    def save_model(self, model: FLModel) -> None:
        self.saved = model


def differences(model: FLModel) -> FLModel:
    """Differences, with an accuracy that is best in the first round."""
    ones = {name: np.ones_like(value) for name, value in model.params.items()}
    accuracy = {"accuracy": 0.5 - model.current_round / 100}
    return FLModel(params=ones, params_type="DIFF", metrics=accuracy, meta={"NUM_STEPS_CURRENT_ROUND": 1})


def test_a_best_model_that_is_older_than_the_last_one_is_stored_rightly(tmp_path: Path) -> None:
    persistor = NPModelPersistor(model=[[1.0, 2.0], [3.0, 4.0]])
    controller = FedAvg(
        num_clients=2, num_rounds=ROUNDS, persistor_id="persistor", stop_cond="accuracy >= 0.9", patience=9
    )

    job = Job([controller], lambda site, model: differences(model), {"persistor": persistor})

    ended = run(job, tmp_path)

    assert ended.panics == []


def test_a_controller_may_store_the_model_in_its_own_way(tmp_path: Path) -> None:
    controller = Hidden(num_clients=2, num_rounds=ROUNDS, persistor_id="", model={"w": np.ones(2)})

    assert run(Job([controller], lambda site, model: TRAINS(model)), tmp_path).panics == []


def run_good(folder: Path, job: Good) -> Ended:
    controller = FedAvg(num_clients=2, num_rounds=ROUNDS, persistor_id="", model=dict(job.model))
    components = {"selector": IntimeModelSelector(**job.selector)}
    return run(Job([controller], at_sites({"site-1": job.other, "site-2": job.site}), components), folder)

"""The guard of a second process knows what the first one saw: it does not warn or end a good job wrongly."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.workflows.fedavg import FedAvg

from tests.unit.guard.in_process import Job
from tests.unit.survival.test_resume import ROUNDS, STEPS, arrays, averaging, gathering_job, job
from tests.unit.survival.two_lives import Life, killed_and_resumed, live, training


def warnings_of(life: Life) -> list[dict[str, Any]]:
    files = list(life.ended.folder.parent.rglob("warnings.json"))
    return json.loads(files[0].read_text()) if files else []


def idle_in_the_end(site: str, received: FLModel) -> FLModel:
    """Train in the first rounds, then return the model as it came: it has converged."""
    after = training(site, received) if received.current_round < 3 else dict(received.params)
    return FLModel(params=after, metrics={"accuracy": 0.5}, meta={STEPS: 3})


def no_metrics_in_the_end(site: str, received: FLModel) -> FLModel:
    metrics = {"accuracy": 0.5} if received.current_round < 3 else {"loss": 1.0}
    return FLModel(params=training(site, received), metrics=metrics, meta={STEPS: 3})


def early_best() -> Job:
    """FedAvg with early stopping stores its only model in the first round."""

    def train(site: str, received: FLModel) -> FLModel:
        metrics = {"accuracy": 0.9 - 0.1 * received.current_round}
        return FLModel(params=training(site, received), metrics=metrics, meta={STEPS: 3})

    controller = FedAvg(num_clients=3, num_rounds=ROUNDS, persistor_id="persistor", stop_cond="accuracy >= 1")
    return job(controller, {}, train, persistor=NPModelPersistor(model=[[1.0, 2.0]]))


JOBS: dict[str, Callable[[], Job]] = {
    "nobody changes the model any more": lambda: job(averaging(), arrays(), idle_in_the_end),
    "nobody changes the model any more, by ScatterAndGather": lambda: gathering_job(idle_in_the_end),
    "the key metric is missing in the last rounds": lambda: job(averaging(), arrays(), no_metrics_in_the_end),
    "the only model was stored in the first round": early_best,
}


@pytest.mark.parametrize("name", JOBS)
def test_a_resumed_job_ends_and_warns_as_an_undisturbed_one(name: str, tmp_path: Path) -> None:
    before = live(JOBS[name], tmp_path / "undisturbed")
    assert before.ended.panics == []

    second = killed_and_resumed(JOBS[name], tmp_path, ROUNDS - 1, keeps_run=False)

    assert second.ended.panics == []
    assert second.rounds == [ROUNDS - 1]
    known = [
        [(one["rule"], one["site"], one["key"]) for one in warnings_of(life)] for life in (before, second)
    ]
    assert sorted(known[0]) == sorted(known[1])


def test_a_sampled_job_draws_the_same_sites(tmp_path: Path) -> None:
    def make() -> Job:
        random.seed(7)
        return job(FedAvg(num_clients=2, num_rounds=ROUNDS, persistor_id="persistor"), arrays())

    before = live(make, tmp_path / "undisturbed")
    drawn = {number: {site for site, one in before.trained if one == number} for number in range(ROUNDS)}
    assert len(set(map(frozenset, drawn.values()))) > 1

    second = killed_and_resumed(make, tmp_path, 2)

    for number in range(2, ROUNDS):
        assert {site for site, one in second.trained if one == number} == drawn[number]

"""What a resumed job leaves: the best model, the evaluations and the end of an undisturbed one."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_opt.pt.file_model_persistor import PTFileModelPersistor
from nvflare.widgets.widget import Widget
from safetensors.torch import load_file

from fl_app.jobs.fedadagrad.controller import DigitController
from fl_app.jobs.fedadagrad.job import DigitParameters
from fl_app.jobs.fedadagrad.metadata import REPORT, TrainingReport
from fl_app.jobs.fibonacci.controller import RESULT_FILE, FibonacciController
from fl_app.jobs.fibonacci.site import LEVEL, SUM
from fl_app.jobs.shared.classifier import DigitClassifier
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.resumable import Resumable, State
from tests.unit.guard.good_components import Forest
from tests.unit.guard.good_workflows import kmeans, trees
from tests.unit.guard.in_process import Job, Memory
from tests.unit.guard.in_process.job import JOB
from tests.unit.survival.test_resume import ROUNDS, STEPS, Net, arrays, averaging, job
from tests.unit.survival.two_lives import (
    SITES,
    Life,
    assert_same_bits,
    killed_and_resumed,
    last_model,
    live,
    training,
)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Intervention]:
    """Return the interventions that were recorded."""
    found: list[Intervention] = []
    monkeypatch.setattr(
        "fl_app.survival.job_agent.record", lambda engine, job_id, intervention: found.append(intervention)
    )
    return found


def torch_file(**more: Any) -> Callable[[], Job]:
    return lambda: job(averaging(**more), {}, persistor=PTFileModelPersistor(model=Net()))


def file_of(life: Life, name: str) -> Path:
    (found,) = life.ended.folder.parent.rglob(name)
    return found


def torch_model(file: Path) -> Any:
    model = torch.load(file, weights_only=True)["model"]
    return {name: torch.as_tensor(value) for name, value in model.items()}


@pytest.mark.parametrize("keeps_run", [True, False], ids=["run folder kept", "run folder lost"])
def test_a_best_model_outlives_the_process_and_no_worse_one_replaces_it(
    keeps_run: bool, tmp_path: Path
) -> None:
    make = torch_file()
    before = live(make, tmp_path / "undisturbed")

    second = killed_and_resumed(make, tmp_path, ROUNDS - 1, keeps_run)

    for name in ("best_FL_global_model.pt", "FL_global_model.pt"):
        assert_same_bits(torch_model(file_of(second, name)), torch_model(file_of(before, name)))
    best, last = (torch_model(file_of(second, name))["weight"] for name in
                  ("best_FL_global_model.pt", "FL_global_model.pt"))  # fmt: skip
    assert not torch.equal(best, last)


@pytest.mark.parametrize("persistor", ["torch", "numpy"])
def test_early_stopping_counts_on_and_the_best_model_is_the_result(persistor: str, tmp_path: Path) -> None:
    def make() -> Job:
        stop = {"stop_cond": "accuracy >= 0.95", "patience": 2}
        controller = FedAvg(num_clients=3, num_rounds=9, persistor_id="persistor", **stop)
        kinds = {
            "torch": lambda: PTFileModelPersistor(model=Net()),
            "numpy": lambda: NPModelPersistor(model=[[1.0, 2.0], [3.0, 4.0]]),
        }
        return job(controller, {}, persistor=kinds[persistor]())

    name, read = {"torch": ("FL_global_model.pt", torch_model), "numpy": ("server.npy", np.load)}[persistor]
    before = live(make, tmp_path / "undisturbed")
    assert before.rounds == [0, 1, 2, 3, 4]

    second = killed_and_resumed(make, tmp_path, 4, keeps_run=False)

    assert second.rounds == [4]
    found, expected = (read(file_of(life, name)) for life in (second, before))
    assert_same_bits(as_models(found), as_models(expected))


def as_models(stored: Any) -> Any:
    return stored if isinstance(stored, dict) else {"array": stored}


def test_a_job_of_two_workflows_goes_on_with_the_second(tmp_path: Path) -> None:
    def make() -> Job:
        made = job(averaging(), arrays())
        made.workflows = [*made.workflows, FedAvg(num_clients=3, num_rounds=2, persistor_id="persistor")]
        return made

    before = live(make, tmp_path / "undisturbed")
    assert [number for site, number in before.trained if site == SITES[0]] == [0, 1, 2, 3, 4, 0, 1]

    second = killed_and_resumed(make, tmp_path, 1, occurrence=2)

    assert [number for site, number in second.trained if site == SITES[0]] == [1]
    assert_same_bits(last_model(second), last_model(before))


class Momentum(FedAvg):
    """A user's controller with state that nobody knows of."""


def test_a_controller_with_unknown_state_starts_over_and_says_so(
    tmp_path: Path, told: list[Intervention]
) -> None:
    second = killed_and_resumed(lambda: job(averaging(Momentum), arrays()), tmp_path, 3)

    assert second.rounds == list(range(ROUNDS))
    assert [(one.kind, one.text) for one in told] == [
        (Kind.RESUMED, "starts over from round 1: Momentum cannot resume")
    ]


def test_an_aggregator_with_unknown_state_starts_over(tmp_path: Path, told: list[Intervention]) -> None:
    """NVFlare's k-means keeps its centers in the assembler."""
    second = killed_and_resumed(kmeans, tmp_path, 2)

    assert second.rounds == [0, 1, 2]
    assert [one.text for one in told] == ["starts over from round 1: FedAvg cannot resume"]


def test_a_resumed_job_says_after_which_round(tmp_path: Path, told: list[Intervention]) -> None:
    killed_and_resumed(lambda: job(averaging(), arrays()), tmp_path, 3)

    assert [(one.kind, one.line) for one in told] == [(Kind.RESUMED, "server: resumed after round 3 of 5")]


def test_a_model_that_is_no_array_starts_over(tmp_path: Path, told: list[Intervention]) -> None:
    class StatelessForest(Resumable, Forest):
        def checkpoint(self) -> State:
            return State()

        def resume(self, state: State) -> None:
            pass

    def make() -> Job:
        made = trees()
        made.components = {**made.components, "aggregator": StatelessForest()}
        return made

    second = killed_and_resumed(make, tmp_path, 1)

    assert second.ended.panics == []
    assert second.rounds == [0, 1]
    assert told[-1].text == "starts again with round 1 of 2"


def digits() -> Job:
    given = DigitParameters(rounds=ROUNDS, hidden=16, evaluate_every=2, fraction_train=1.0)

    def train(site: str, received: FLModel) -> FLModel:
        report = TrainingReport(seconds=1.0, losses=(2.0,), converged=False, examples=int(site[-1]))
        return FLModel(
            params=training(site, received), meta={STEPS: report.examples, REPORT: report.to_wire()}
        )

    parts = {"persistor": Memory(DigitClassifier(hidden=16, seed=0).state_dict())}
    return Job([DigitController(3, given.model_dump())], train, components=parts, sites=SITES)


@pytest.mark.parametrize("keeps_run", [True, False], ids=["run folder kept", "run folder lost"])
@pytest.mark.parametrize("number", [0, 3])
def test_fedadagrad_goes_on_with_its_sums_evaluations_reports_and_best_model(
    number: int, keeps_run: bool, tmp_path: Path
) -> None:
    before = live(digits, tmp_path / "undisturbed")
    history = json.loads(file_of(before, "evaluation_history.json").read_text())
    assert [one["round"] for one in history] == [0, 2, 4, 5]

    second = killed_and_resumed(digits, tmp_path, number, keeps_run)

    assert_same_bits(last_model(second), last_model(before))
    assert json.loads(file_of(second, "evaluation_history.json").read_text()) == history
    for name in ("round_0_server_eval.json", "round_2_server_eval.json"):
        assert file_of(second, name).read_bytes() == file_of(before, name).read_bytes()
    assert_same_bits(*(load_file(file_of(life, "best_model.safetensors")) for life in (second, before)))
    reports = json.loads(file_of(second, "training_history.json").read_text())
    assert sorted((one["round"], one["site"]) for one in reports) == [
        (number, site) for number in range(1, ROUNDS + 1) for site in SITES
    ]


def fibonacci() -> Job:
    controller = FibonacciController({site: int(site[-1]) for site in SITES}, ROUNDS, timeout=20)

    def answer_sum(site: str, received: FLModel) -> FLModel:
        return FLModel(
            params={}, meta={SUM: str(2**70 + received.meta[LEVEL] * (received.current_round + 1))}
        )

    return Job([controller], answer_sum, sites=SITES)


def test_fibonacci_goes_on_with_its_sums(tmp_path: Path) -> None:
    before = live(fibonacci, tmp_path / "undisturbed")

    second = killed_and_resumed(fibonacci, tmp_path, 3, keeps_run=False)

    assert second.rounds == [3, 4]
    assert file_of(second, RESULT_FILE).read_bytes() == file_of(before, RESULT_FILE).read_bytes()


def test_a_damaged_last_checkpoint_costs_one_more_round(tmp_path: Path) -> None:
    make = lambda: job(averaging(), arrays())  # noqa: E731
    before = live(make, tmp_path / "undisturbed")
    live(make, tmp_path / "first", kill_in_round=3, copy_to=tmp_path / "second")
    newest = max((tmp_path / "second" / "checkpoints" / JOB).glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])

    second = live(make, tmp_path / "second")

    assert second.rounds == [2, 3, 4]
    assert_same_bits(last_model(second), last_model(before))


def test_a_job_that_can_only_be_restored_in_part_ends_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("best_val_metric")

    monkeypatch.setattr("fl_app.survival.components._Selector.resume", fail)

    second = killed_and_resumed(lambda: job(averaging(), arrays()), tmp_path, 3)

    assert second.trained == []
    assert second.ended.panics == ["the checkpoint of the job cannot be restored: 'best_val_metric'"]


def test_a_job_whose_best_model_cannot_be_put_back_ends_and_does_not_start_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: Any) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("fl_app.survival.checkpoints.Checkpoint.restore_files", deny)

    second = killed_and_resumed(torch_file(), tmp_path, 3)

    # A site may get the first task before the end of the job is known to the workflow.
    assert {number for _, number in second.trained} <= {0}
    (reason,) = second.ended.panics
    assert "cannot be restored: [Errno 13] Permission denied" in reason


def test_of_equally_good_rounds_the_first_is_the_best_whatever_the_order_of_the_answers(
    tmp_path: Path,
) -> None:
    def train(site: str, received: FLModel) -> FLModel:
        position = SITES.index(site)  # (0.3 + 0.2) + 0.1 < (0.1 + 0.2) + 0.3
        time.sleep(0.2 * (2 - position if received.current_round == 1 else position))
        accuracy = {"site-1": 0.1, "site-2": 0.2, "site-3": 0.3}[site]
        return FLModel(params=training(site, received), metrics={"accuracy": accuracy}, meta={STEPS: 1})

    made = job(averaging(), arrays(), train)
    bests: list[int] = []

    class Best(Widget):
        def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
            if event_type == AppEventType.GLOBAL_BEST_MODEL_AVAILABLE:
                bests.append(fl_ctx.get_prop(AppConstants.CURRENT_ROUND))

    made.components = {**made.components, "best": Best()}
    live(lambda: made, tmp_path / "job")

    assert bests == [1]


def test_the_order_of_the_answers_changes_nothing(tmp_path: Path) -> None:
    make = lambda: job(averaging(), arrays())  # noqa: E731
    one, other = (live(make, tmp_path / name) for name in ("one", "other"))

    assert_same_bits(last_model(one), last_model(other))

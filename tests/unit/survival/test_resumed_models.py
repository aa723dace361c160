"""Models of a job whose server process was killed: readable, and those of the job's own rounds."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.np.np_model_persistor import NPModelPersistor
from nvflare.app_common.widgets.metrics_artifact_writer import MetricsArtifactWriter
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils import fobs
from nvflare.widgets.widget import Widget

from fl_app.survival.checkpoints import FOLDER
from fl_app.survival.resumable import Resumable, State
from tests.unit.guard.in_process import Job, Memory
from tests.unit.guard.in_process.job import JOB
from tests.unit.survival.test_resume import ROUNDS, arrays, averaging, gathering_job, job
from tests.unit.survival.two_lives import assert_same_bits, killed_and_resumed, last_model, live

FILE = "FL_global_model.pt"
"""Name of the file of a FedAvg without a persistor."""


def without_persistor(kind: Any = FedAvg) -> Job:
    return job(kind(num_clients=3, num_rounds=ROUNDS, persistor_id="", model=arrays()), {})


def saved_model(folder: Path) -> FLModel:
    (file,) = folder.rglob(FILE)
    model = fobs.loadf(str(file))
    assert isinstance(model, FLModel)
    return model


def test_the_file_of_a_resumed_job_is_that_of_an_undisturbed_one(tmp_path: Path) -> None:
    live(without_persistor, tmp_path / "undisturbed")

    killed_and_resumed(without_persistor, tmp_path, 3)

    found, expected = (saved_model(tmp_path / name) for name in ("second", "undisturbed"))
    assert_same_bits(found.params, expected.params)
    assert (found.start_round, type(found.start_round)) == (expected.start_round, int)


class Copying(Resumable, FedAvg):
    """A user's controller that keeps a copy of the model that it sends."""

    def send_model(self, *args: Any, data: FLModel, **kwargs: Any) -> Any:
        self.sent = copy.deepcopy(data)
        return super().send_model(*args, data=data, **kwargs)

    def checkpoint(self) -> State:
        return State()

    def resume(self, state: State) -> None:
        pass


def test_a_resumed_controller_can_copy_its_model(tmp_path: Path) -> None:
    second = killed_and_resumed(lambda: job(averaging(Copying), arrays()), tmp_path, 3)

    assert second.ended.panics == []
    assert second.rounds == [3, 4]


class Momentum(FedAvg):
    """A user's controller with state that nobody knows of: it starts over."""


FIRST_MODELS: dict[str, Callable[[], Job]] = {
    "NumPy": lambda: job(averaging(Momentum), {}, persistor=NPModelPersistor(model=[[1.0, 2.0], [3.0, 4.0]])),
    "file of FedAvg": lambda: job(Saving(num_clients=3, num_rounds=ROUNDS, persistor_id=""), {}),
}


class Saving(Momentum):
    """A FedAvg that creates its first model itself, unless there is a saved one."""

    def load_model(self) -> FLModel:
        found = super().load_model()
        return found if found.params else FLModel(params=arrays())


@pytest.mark.parametrize("name", FIRST_MODELS)
def test_a_job_that_starts_over_starts_with_its_first_model(name: str, tmp_path: Path) -> None:
    first: dict[str, Any] = {}

    def make(life: str) -> Job:
        made = FIRST_MODELS[name]()
        train = made.train

        def recorded(site: str, received: FLModel) -> Any:
            if received.current_round == 0:
                first[life] = copy.deepcopy(received.params)
            return train(site, received)

        made.train = recorded
        return made

    live(lambda: make("first"), tmp_path / "first", kill_in_round=3, copy_to=tmp_path / "second")
    second = live(lambda: make("second"), tmp_path / "second")

    assert second.rounds == list(range(ROUNDS))
    assert_same_bits(first["second"], first["first"])


def test_a_job_without_an_intact_checkpoint_starts_with_its_first_model(tmp_path: Path) -> None:
    def make() -> Job:
        return job(averaging(), {}, persistor=NPModelPersistor(model=[[1.0, 2.0], [3.0, 4.0]]))

    before = live(make, tmp_path / "undisturbed")
    live(make, tmp_path / "first", kill_in_round=3, copy_to=tmp_path / "second")
    for file in (tmp_path / "second" / FOLDER / JOB).glob("*.json"):
        file.unlink()

    second = live(make, tmp_path / "second")

    assert second.rounds == list(range(ROUNDS))
    (found,), (expected,) = (list(life.ended.folder.parent.rglob("server.npy")) for life in (second, before))
    assert found.read_bytes() == expected.read_bytes()


class FirstModel(Controller):
    """Give the next workflow its first model, as NVFlare's InitializeGlobalWeights does."""

    def start_controller(self, fl_ctx: FLContext) -> None:
        pass

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        model = make_model_learnable(arrays(), {})
        fl_ctx.set_prop(AppConstants.GLOBAL_MODEL, model, private=True, sticky=True)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        pass


def test_a_workflow_resumes_that_has_its_first_model_from_the_workflow_before(tmp_path: Path) -> None:
    def make() -> Job:
        made = gathering_job()
        made.workflows = [FirstModel(), *made.workflows]
        made.components = {**made.components, "persistor": Memory({})}
        return made

    before = live(make, tmp_path / "undisturbed")
    assert before.ended.panics == []

    second = killed_and_resumed(make, tmp_path, 3)

    assert second.ended.panics == []
    assert second.rounds == [3, 4]
    assert_same_bits(last_model(second), last_model(before))


@pytest.mark.parametrize("number", [3, ROUNDS - 1])
@pytest.mark.parametrize("keeps_run", [True, False], ids=["run folder kept", "run folder lost"])
def test_the_metrics_of_all_rounds_are_in_the_result(keeps_run: bool, number: int, tmp_path: Path) -> None:
    def make() -> Job:
        return job(averaging(), arrays(), metrics=MetricsArtifactWriter())

    live(make, tmp_path / "undisturbed")

    killed_and_resumed(make, tmp_path, number, keeps_run)

    assert metrics_of(tmp_path / "second") == metrics_of(tmp_path / "undisturbed")


@pytest.mark.parametrize("kind", [FedAvg, Momentum])
def test_a_round_that_is_trained_again_is_in_the_metrics_once(kind: Any, tmp_path: Path) -> None:
    def make() -> Job:
        return job(averaging(kind), arrays(), metrics=MetricsArtifactWriter())

    live(make, tmp_path / "first", kill_in_round=0, copy_to=tmp_path / "second")
    file = tmp_path / "second" / JOB / "metrics" / "round_metrics.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"round": 0}\n')  # the kill was after the aggregation

    live(make, tmp_path / "second")

    (_, rounds) = metrics_of(tmp_path / "second")
    assert rounds == list(range(ROUNDS))


def metrics_of(folder: Path) -> tuple[dict[str, Any], list[int]]:
    """Return the summary, and the rounds in the file of all rounds."""
    (summary,) = folder.rglob("metrics_summary.json")
    lines = (summary.parent / "round_metrics.jsonl").read_text().splitlines()
    return json.loads(summary.read_text()), [json.loads(line)["round"] for line in lines]


class Counter(Resumable, Widget):
    """A user's component that changes its array at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = np.zeros(3)

    def checkpoint(self) -> State:
        return State(arrays={"sum": self.sum})

    def resume(self, state: State) -> None:
        self.sum = state.arrays["sum"]


def test_a_checkpoint_has_a_copy_of_the_state_of_users_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, written = Counter(), []
    monkeypatch.setattr(
        "fl_app.survival.writer.CheckpointWriter.submit", lambda writer, parts: written.append(parts)
    )

    live(lambda: job(averaging(), arrays(), counter=counter), tmp_path)

    assert len(written) == ROUNDS
    assert not any(
        np.shares_memory(parts["component:counter"].arrays["sum"], counter.sum) for parts in written
    )

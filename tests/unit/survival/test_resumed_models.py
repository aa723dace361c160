"""Models of a job whose server process was killed: readable, and those of the job's own rounds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils import fobs

from fl_app.survival.resumable import Resumable, State
from tests.unit.guard.in_process import Job
from tests.unit.survival.test_resume import ROUNDS, arrays, averaging, job
from tests.unit.survival.two_lives import assert_same_bits, killed_and_resumed, live

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

"""Results of an external training process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey, ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.decomposers.numpy_decomposers import NumpyArrayDecomposer
from nvflare.fuel.f3.cellnet.defs import CellChannel
from nvflare.fuel.utils import fobs
from nvflare.fuel.utils.fobs import FOBSContextKey

from fl_app.survival.trainer_results import TrainerResults

CELL = "site-1.a-job"
TRAINING_PROCESS = (CellChannel.SERVER_COMMAND, ServerCommandNames.GET_TASK)


class Cell:
    """The cell of a site's job process."""

    def __init__(self, has_training_process: bool) -> None:
        self.decode_pass_through_topics = {TRAINING_PROCESS} if has_training_process else set()
        self.decoded: list[dict[str, Any]] = []

    def get_fqcn(self) -> str:
        return CELL

    def get_fobs_context(self, props: dict[str, Any] | None = None) -> dict[str, Any]:
        if props:
            self.decoded.append(props)
        return dict(props or {})


def context(cell: Cell, **properties: Any) -> FLContext:
    made = FLContext()
    made.set_prop(ReservedKey.ENGINE, SimpleNamespace(get_cell=lambda: cell), private=True, sticky=False)
    made.set_prop(ReservedKey.RUN_ABORT_SIGNAL, Signal(), private=True, sticky=False)
    for name, value in properties.items():
        made.set_prop(getattr(FLContextKey, name), value, private=True, sticky=False)
    return made


@pytest.mark.parametrize(("has_training_process", "receiver"), [(True, (CELL,)), (False, None)])
def test_the_sites_process_is_the_receiver_of_a_training_processs_result(
    has_training_process: bool, receiver: tuple[str, ...] | None
) -> None:
    task = Shareable()
    fl_ctx = context(Cell(has_training_process), TASK_DATA=task)
    TrainerResults().handle(EventType.BEFORE_TASK_EXECUTION, fl_ctx)
    assert task.get_header(FOBSContextKey.RECEIVER_IDS) == receiver


def test_the_arrays_of_a_result_are_received_before_it_is_sent_on() -> None:
    fobs.register(NumpyArrayDecomposer)
    cell = Cell(has_training_process=True)
    result = DXO(DataKind.WEIGHTS, {"layer": np.arange(3.0)}, {"NUM_STEPS_CURRENT_ROUND": 5}).to_shareable()
    result.set_header("round", 2)
    TrainerResults().handle(EventType.AFTER_TASK_EXECUTION, context(cell, TASK_RESULT=result))
    received = from_shareable(result)
    assert received.data["layer"].tolist() == [0.0, 1.0, 2.0]
    assert received.meta["NUM_STEPS_CURRENT_ROUND"] == 5
    assert result.get_header("round") == 2
    assert [one[FOBSContextKey.PASS_THROUGH] for one in cell.decoded] == [False]


def test_a_result_of_the_sites_own_process_is_left_alone() -> None:
    cell, weights = Cell(has_training_process=False), np.arange(3.0)
    result = DXO(DataKind.WEIGHTS, {"layer": weights}).to_shareable()
    TrainerResults().handle(EventType.AFTER_TASK_EXECUTION, context(cell, TASK_RESULT=result))
    assert from_shareable(result).data["layer"] is weights
    assert cell.decoded == []

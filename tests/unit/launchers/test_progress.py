"""What a job process tells its parent about its progress."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

from fl_app.launchers.progress import ProgressReports


class Cell:
    """The cell of a job process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.sent: list[tuple[str, Any]] = []

    def get_fqcn(self) -> str:
        return self._name

    def fire_and_forget(self, *, targets: str, message: Any, **_: Any) -> None:
        self.sent.append((targets, message.payload["position"]))


class SiteEngine:
    """The engine of a site's job process."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def get_cell(self) -> Cell:
        return self._cell


def context(engine: Any, **props: Any) -> FLContext:
    made = FLContext()
    made.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=False)
    for name, value in props.items():
        made.set_prop(name, value, private=True, sticky=False)
    return made


@pytest.mark.parametrize(("name", "parent"), [("site-1.j1", "site-1"), ("relay.site-1.j1", "relay.site-1")])
def test_a_site_reports_each_result_that_it_has_sent(name: str, parent: str) -> None:
    cell = Cell(name)
    fl_ctx, reports = context(SiteEngine(cell)), ProgressReports()
    for event in (EventType.BEFORE_TASK_EXECUTION, *[EventType.AFTER_SEND_TASK_RESULT] * 2):
        reports.handle(event, fl_ctx)
    assert cell.sent == [(parent, None)] * 2


def test_the_server_reports_each_round_once() -> None:
    cell = Cell("server.j1")
    engine = create_autospec(ServerEngineSpec, instance=True)
    engine.cell = cell
    reports = ProgressReports()
    for number in (0, 0, 1):
        reports.handle(AppEventType.ROUND_STARTED, context(engine, **{AppConstants.CURRENT_ROUND: number}))
    task = Shareable()
    task.set_header(AppConstants.CURRENT_ROUND, 2)
    for _ in range(2):  # one for each site
        reports.handle(EventType.AFTER_TASK_DATA_FILTER, context(engine, **{FLContextKey.TASK_DATA: task}))
    assert cell.sent == [("server", 0), ("server", 1), ("server", 2)]

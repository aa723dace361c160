"""Sites that are away from a running job: `watch` and the job's history show them."""

from __future__ import annotations

from typing import Any

import pytest
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec

from fl_app.survival import waiting
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.waiting import Waiting
from fl_app.telemetry.job import JobTelemetry
from fl_app.telemetry.job_progress import WAITING_EVENT, SiteProgress


class Engine(ServerEngineSpec):
    """The engine of a server's job process with the job's telemetry."""

    def __init__(self) -> None:
        self.telemetry = JobTelemetry()
        self.telemetry._metrics = {}
        self.telemetry._progress.sites = {"north": SiteProgress(), "south": SiteProgress()}

    def get_clients(self) -> list[Any]:
        return []

    def fire_event(self, event_type: str, fl_ctx: FLContext) -> None:
        assert event_type == WAITING_EVENT
        self.telemetry.handle_event(event_type, fl_ctx)

    def away(self) -> dict[str, str]:
        return {name: site.away for name, site in self.telemetry._progress.sites.items()}


Engine.__abstractmethods__ = frozenset()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Intervention]:
    seen: list[Intervention] = []
    monkeypatch.setattr(waiting, "record", lambda engine, job, one: seen.append(one))
    return seen


def test_each_wait_is_one_line_of_the_history_and_shown_until_the_site_is_back(
    recorded: list[Intervention],
) -> None:
    engine, wait = Engine(), Waiting()
    context = FLContext()
    context.set_prop(ReservedKey.ENGINE, engine, private=True, sticky=True)
    context.set_prop(FLContextKey.CURRENT_JOB_ID, "a-job", private=True, sticky=False)

    wait.update({"south": 40.0}, {"south"}, context)
    assert engine.away() == {"north": "", "south": "no sign of life for 40 s"}
    wait.update({"south": 130.0, "north": 36.0}, {"south"}, context)
    assert engine.away() == {"north": "no sign of life for 36 s", "south": "no sign of life for 2 min"}
    assert [(one.kind, one.line) for one in recorded] == [
        (Kind.WAITING, "south: no sign of life for 40 s; the job waits for it")
    ]

    wait.update({}, (), context)
    assert engine.away() == {"north": "", "south": ""}
    wait.update({"south": 36.0}, {"south"}, context)
    assert len(recorded) == 2

"""A job that was killed and runs again has not ended: no metric and no tracker says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.telemetry.server_view import ServerView
from fl_app.tracking.parent import ParentAnalytics


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("SUBMITTED", ""),
        ("FINISHED:COMPLETED", "completed"),
        ("FINISHED:ABNORMAL", "failed"),
        (None, "failed"),
    ],
)
def test_only_the_end_of_a_job_has_a_result(status: str | None, result: str) -> None:
    identity: Any = SimpleNamespace()
    server: Any = SimpleNamespace(job_status=lambda job_id: status)

    assert ServerView(identity, server).result("job") == result


@pytest.mark.parametrize(
    ("status", "ended"), [("SUBMITTED", []), ("FINISHED:COMPLETED", [("job", "FINISHED:COMPLETED")])]
)
def test_trackers_keep_the_run_of_a_job_open_that_runs_again(status: str, ended: list[Any]) -> None:
    analytics, ends = ParentAnalytics(), []
    analytics._status = lambda job_id: status
    analytics._storage = SimpleNamespace(end=lambda *end: ends.append(end))  # type: ignore[assignment]
    context = FLContext()
    context.set_prop(FLContextKey.CURRENT_JOB_ID, "job")

    analytics.handle_event(EventType.JOB_COMPLETED, context)

    assert ends == ended

"""Job pods without the pauses of a cluster."""

from __future__ import annotations

import pytest

from tests.unit.launchers.fake_pod import Reported


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    """The calls of the callbacks of a job pod, which fails and restarts without a pause."""
    monkeypatch.setattr("fl_app.launchers.job_pod.EARLIEST_FAILURE_SECONDS", 0.0)
    monkeypatch.setattr("fl_app.launchers.restarts.FIRST_PAUSE_SECONDS", 0.0)
    return Reported()

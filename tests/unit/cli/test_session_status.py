"""`flarefleet status` with a kit: what the server reports to an administrator's session."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from deploy.cli.session_status import state_and_time, status_document
from deploy.session.job import RUNNING, Job
from deploy.session.session import FederationState

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


def state(**ages: float) -> FederationState:
    heartbeats = {site: NOW - timedelta(seconds=age) for site, age in ages.items()}
    return FederationState(NOW - timedelta(hours=1), heartbeats, ("28b4",))


def test_a_site_without_a_recent_heartbeat_is_away() -> None:
    running = [Job.of({"job_id": "28b4", "name": "probe", "status": RUNNING, "submitter_name": "lead@a.org"})]
    found = status_document("flare.example.org:8002", state(north=2.0, south=90.0), running, NOW)
    assert [(site["name"], site["state"], site["heartbeat_age_seconds"]) for site in found["sites"]] == [
        ("north", "ready", 2.0),
        ("south", "away", 90.0),
    ]
    assert not found["ready"]
    assert found["jobs"] == [{"id": "28b4", "name": "probe", "submitter": "lead@a.org"}]


def test_a_federation_is_ready_if_sites_are_registered_and_none_is_away() -> None:
    assert status_document("a:1", state(north=2.0), [], NOW)["ready"]
    assert not status_document("a:1", state(), [], NOW)["ready"]


class Server:
    """A server whose site sends heartbeats, or has stopped to."""

    def __init__(self, skew: float, *, is_away: bool) -> None:
        self._skew, self._is_away = skew, is_away
        self.time = 0.0

    def federation(self) -> FederationState:
        seen = NOW + timedelta(seconds=(0.0 if self._is_away else self.time) - self._skew)
        return FederationState(NOW, {"north": seen}, ())

    def wait(self, seconds: float) -> None:
        self.time += seconds

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.time)


@pytest.mark.parametrize(
    ("skew", "is_away", "state"),
    [
        (300.0, False, "ready"),  # the clock of this machine is five minutes ahead
        (-300.0, False, "ready"),
        (300.0, True, "away"),
    ],
)
def test_a_wrong_clock_of_this_machine_changes_no_state(skew: float, is_away: bool, state: str) -> None:
    server = Server(skew, is_away=is_away)
    found, now = state_and_time(server, server.clock, server.wait)  # type: ignore[arg-type]
    (site,) = status_document("a:1", found, [], now)["sites"]
    assert site["state"] == state
    assert site["heartbeat_age_seconds"] >= 0.0

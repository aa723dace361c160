"""`flarefleet status` with a kit: what the server reports to an administrator's session."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from deploy.cli.session_status import status_document
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


def test_a_clock_that_is_behind_the_servers_gives_no_negative_age() -> None:
    (site,) = status_document("a:1", state(north=-5.0), [], NOW)["sites"]
    assert site["heartbeat_age_seconds"] == 0.0

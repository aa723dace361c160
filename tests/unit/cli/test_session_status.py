"""`flarefleet status` with a kit: what the server reports to an administrator's session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from nvflare.fuel.hci.proto import Buffer, MetaKey

from deploy.cli.session_status import status_document
from deploy.session.job import RUNNING, Job
from deploy.session.server_time import server_time
from deploy.session.session import FederationState

NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


def state(**ages: float) -> FederationState:
    heartbeats = {site: NOW - timedelta(seconds=age) for site, age in ages.items()}
    return FederationState(NOW, NOW - timedelta(hours=1), heartbeats, ("28b4",))


def test_a_site_without_a_recent_heartbeat_is_away() -> None:
    running = [Job.of({"job_id": "28b4", "name": "probe", "status": RUNNING, "submitter_name": "lead@a.org"})]
    found = status_document("flare.example.org:8002", state(north=2.0, south=90.0), running)
    assert [(site["name"], site["state"], site["heartbeat_age_seconds"]) for site in found["sites"]] == [
        ("north", "ready", 2.0),
        ("south", "away", 90.0),
    ]
    assert not found["ready"]
    assert found["jobs"] == [{"id": "28b4", "name": "probe", "submitter": "lead@a.org"}]


def test_a_federation_is_ready_if_sites_are_registered_and_none_is_away() -> None:
    assert status_document("a:1", state(north=2.0), [])["ready"]
    assert not status_document("a:1", state(), [])["ready"]


def test_an_age_is_not_negative() -> None:
    (site,) = status_document("a:1", state(north=-5.0), [])["sites"]
    assert site["heartbeat_age_seconds"] == 0.0


@pytest.fixture(params=["UTC", "Asia/Seoul", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the server."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_the_time_of_an_answer_is_that_of_the_server_in_any_time_zone() -> None:
    contact = time.time() - 7.25
    reply = Buffer()
    reply.append_table(["job_id", "app name"], name=MetaKey.JOBS)
    sites = reply.append_table(["client", "token", "last connect time"], name=MetaKey.CLIENTS)
    sites.add_row(
        ["north", "t", time.asctime(time.localtime(contact))],
        meta={MetaKey.CLIENT_LAST_CONNECT_TIME: contact},
    )

    found = server_time(reply.output)

    assert found is not None
    assert abs(found.timestamp() - time.time()) < 1


@pytest.mark.parametrize("reply", [{}, Buffer().output, {"meta": {"clients": [{}]}, "data": [], "time": "?"}])
def test_the_time_of_an_answer_without_sites_is_unknown(reply: dict[str, Any]) -> None:
    assert server_time(reply) is None

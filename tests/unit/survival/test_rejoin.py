"""Which sites start their part of a running job again, and when."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fl_app.nvflare_internals.server_jobs import Participant
from fl_app.survival.job_status import StatusOfJob
from fl_app.survival.rejoin import (
    MISSING,
    POLL_SECONDS,
    RESTARTED,
    STUCK_SECONDS,
    Membership,
    Poll,
    reason_to_rejoin,
)
from tests.unit.survival.rejoining import Federation

NORTH = Participant("north", "t1", {})


@pytest.fixture
def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Federation:
    return Federation(tmp_path, monkeypatch)


def test_a_site_whose_parent_was_started_again_runs_its_part_again(federation: Federation) -> None:
    federation.restart_parent("north")

    federation.pass_time(1.0)

    assert [one.split(".")[-1] for one in federation.requests()] == ["deploy north", "start north"]
    assert federation.tokens() == {"north": "new", "south": "t2"}
    assert federation.server.history(federation.job_id)[0].startswith(
        "rejoined north: its parent was started again; it runs its part of the job again after"
    )


def test_a_job_depends_on_a_site_again_when_its_new_process_asks_for_a_task(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.pass_time(1.0)
    assert not federation.jobs.awaits_outcome(federation.job_id, "north")

    federation.answer(asked={"north": POLL_SECONDS + 1.0})  # its old process did
    federation.pass_time()
    assert not federation.jobs.awaits_outcome(federation.job_id, "north")
    federation.answer()
    federation.pass_time()

    assert federation.jobs.awaits_outcome(federation.job_id, "north")


def test_sites_that_run_their_jobs_are_left_alone(federation: Federation) -> None:
    for _ in range(5):
        federation.pass_time()

    assert federation.requests() == []


def test_a_site_whose_heartbeats_do_not_list_the_job_starts_it_again(federation: Federation) -> None:
    federation.sites.running["north"] = []
    federation.pass_time()
    assert federation.requests() == []

    federation.pass_time()

    assert len(federation.requests()) == 2
    assert "its job process was not running" in federation.server.history(federation.job_id)[0]


def test_a_site_whose_part_has_ended_does_not_start_it_again(federation: Federation) -> None:
    federation.sites.running["north"] = []
    federation.jobs.ignore_outcome(federation.job_id, "north")

    for _ in range(3):
        federation.pass_time()

    assert federation.requests() == []


def test_a_site_that_is_away_is_waited_for(federation: Federation) -> None:
    federation.server.client_manager.remove_client("t1")

    federation.pass_time()

    assert federation.requests() == []


@pytest.mark.parametrize("status", [{"ending": True}, None], ids=["ending", "no-answer"])
def test_no_site_joins_a_job_that_is_ending_or_starting(federation: Federation, status: Any) -> None:
    federation.restart_parent("north")
    if status is None:
        federation.server.answers = {}
    else:
        federation.answer(**status)

    federation.pass_time(1.0)

    assert federation.requests() == []
    assert not federation.jobs.awaits_outcome(federation.job_id, "north")  # its end needs no report


def test_a_site_joins_soon_after_the_process_of_the_server_that_starts_slowly(
    federation: Federation,
) -> None:
    federation.restart_parent("north")
    federation.server.answers = {}
    for _ in range(25):
        federation.pass_time(1.0)
    federation.answer()

    federation.pass_time(1.0)
    federation.pass_time(1.0)

    assert federation.tokens()["north"] == "new"


def test_a_site_that_cannot_join_is_tried_again_later_and_later(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.sites.start_error = "no space"
    attempts = []
    for second in range(200):
        federation.pass_time(1.0)
        if federation.requests():
            attempts.append(second)

    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses[:5] == [2, 4, 8, 16, 32]
    assert max(pauses) == 60
    federation.sites.start_error = ""
    federation.pass_time(61)
    assert len(federation.requests()) == 2


def test_a_site_whose_process_ends_each_time_is_started_less_and_less_often(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.answer(asked={})
    starts = []
    for poll in range(50):
        federation.pass_time()
        if federation.requests():
            starts.append(poll)
        federation.sites.running["north"] = []

    pauses = [after - before for before, after in pairwise(starts)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 2  # polls of ten seconds
    assert pauses[-1] in (6, 7)


def test_a_site_without_free_resources_gets_no_files(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.sites.resources = (False, "GPU in use")
    federation.pass_time(1.0)
    assert federation.requests() == []

    federation.sites.resources = (True, "token")
    federation.pass_time(3.0)

    assert len(federation.requests()) == 2


def test_a_site_whose_job_process_cannot_be_launched_is_tried_again(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.sites.start_error = "no space"
    federation.pass_time(1.0)
    federation.sites.start_error = ""

    federation.pass_time(3.0)

    assert len(federation.requests()) == 4
    assert len(federation.server.history(federation.job_id)) == 1


def test_the_old_process_of_a_site_ends_before_a_new_one_starts(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.sites.running["north"] = [federation.job_id]
    aborted = []
    federation.server.job_runner.abort_client_run = lambda job, sites, fl_ctx: aborted.append((job, sites))

    federation.pass_time(1.0)

    assert (aborted, federation.requests()) == ([(federation.job_id, ["north"])], [])


def test_a_job_that_has_ended_is_forgotten(federation: Federation) -> None:
    federation.restart_parent("north")
    federation.answer(ending=True)
    federation.pass_time(1.0)
    federation.server.run_processes.clear()

    federation.pass_time()

    assert federation.rejoin._members == {}


def test_a_site_that_came_late_joins_a_job_with_a_quorum(federation: Federation) -> None:
    federation.jobs.job(federation.job_id).deploy_map.update({"app": ["server", "north", "south", "west"]})
    federation.server.register("west", "t3")

    federation.pass_time(1.0)

    assert [one.split(".")[-1] for one in federation.requests()] == ["deploy west", "start west"]
    assert federation.tokens() == {"north": "t1", "south": "t2", "west": "t3"}
    assert "west: it was not there when the job started" in federation.server.history(federation.job_id)[0]


@pytest.mark.parametrize(
    ("token", "last_sign", "vouched", "idle", "reason"),
    [
        ("t1", 2.0, ["north"], {}, ""),
        ("t2", 2.0, ["north"], {}, RESTARTED),
        ("t1", 2.0, [], {}, MISSING),
        ("t1", 1.0, [], {}, ""),  # no heartbeat since the last poll
        ("t1", 2.0, ["north"], {"north": STUCK_SECONDS}, ""),
        ("t1", 2.0, ["north"], {"north": 301.0}, "its job process asked for no task for 301 s"),
    ],
)
def test_the_reason_to_start_a_part_again(
    token: str, last_sign: float, vouched: list[str], idle: dict[str, float], reason: str
) -> None:
    status = StatusOfJob({"idle": idle, "asked": idle})
    poll = Poll({"north": last_sign}, {"job": vouched}, {"job": status})
    member = Membership(last_sign=1.0, missing=1)

    assert reason_to_rejoin("job", NORTH, Participant("north", token, {}), member, poll) == reason

"""Which job processes of sites are ended because they ask for no task, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_app.survival.rejoin import STUCK_SECONDS
from tests.unit.survival.rejoining import Federation


@pytest.fixture
def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Federation:
    return Federation(tmp_path, monkeypatch)


def test_a_process_that_asks_for_no_task_is_ended_and_started_again(federation: Federation) -> None:
    aborted = aborted_at(federation)
    federation.answer(idle={"north": STUCK_SECONDS + 1})
    federation.pass_time()
    assert aborted == ["north"]

    federation.sites.running["north"] = []
    federation.pass_time()

    assert len(federation.requests()) == 2


def test_a_process_that_has_not_asked_yet_gets_more_time_after_each_end(federation: Federation) -> None:
    aborted = aborted_at(federation)
    for limit in (1800, 3600, 7200):
        start = federation.now
        while not aborted and federation.now < start + 10_000:
            federation.answer(asked={"south": 0.0}, idle={"north": federation.now - 1000.0})
            federation.pass_time(60)
        assert limit <= federation.now - start <= limit + 120
        aborted.clear()
        federation.sites.running["north"] = []
        federation.pass_time()


def test_a_process_that_has_just_been_started_again_is_not_ended(federation: Federation) -> None:
    aborted = aborted_at(federation)
    federation.restart_parent("north")
    federation.pass_time(1.0)

    for seconds in (10, 300, 600, 800):
        # Its old process asked an hour ago, the other site just now.
        federation.answer(asked={"north": 3600.0, "south": 0.0}, idle={"north": 3600.0})
        federation.pass_time(seconds)

    assert aborted == []
    federation.pass_time(200)
    assert aborted == ["north"]


def test_time_in_which_the_server_answers_no_site_does_not_count(federation: Federation) -> None:
    aborted = aborted_at(federation)
    federation.restart_parent("north")
    federation.pass_time(1.0)

    federation.answer(asked={"north": 9000.0, "south": 3000.0}, idle={"north": 6000.0})
    federation.pass_time(4000)  # no site was answered for the last 3000 s

    assert aborted == []


def aborted_at(federation: Federation) -> list[str]:
    """Return the list of sites whose process is ended from now on."""
    aborted: list[str] = []
    federation.server.job_runner.abort_client_run = lambda job, sites, fl_ctx: aborted.extend(sites)
    return aborted

"""What a job lacks to begin, in words, and whether there is hope."""

from __future__ import annotations

from typing import Any

import pytest

from fl_app.guard.quorum import Demand, Sites, lacking, patience_of


def sites(*registered: str, away: tuple[str, ...] = ()) -> Sites:
    return Sites(frozenset(registered), frozenset((*registered, *away)))


def demand(least: Any = 1, required: Any = None, to: tuple[str, ...] = ("@ALL",)) -> Demand:
    meta = {"min_clients": least, "mandatory_clients": required, "deploy_map": {"app": list(to)}}
    return Demand.of(meta)


@pytest.mark.parametrize(
    "asked",
    [
        demand(2),
        demand(None),
        demand(0, []),
        demand(1, ["site-2"]),
        demand(2, to=("server", "site-1", "site-2")),
        Demand.of({}),
    ],
)
def test_a_job_with_enough_sites_lacks_nothing(asked: Demand) -> None:
    assert lacking(asked, sites("site-1", "site-2")) is None


def test_more_sites_than_were_ever_here_is_hopeless_and_the_line_has_every_number_and_name() -> None:
    lack = lacking(demand(5), sites("site-1", "site-2", away=("site-3",)))
    assert lack is not None
    assert lack.hopeless
    assert lack.finding.line == (
        "min_clients: needs 5 sites, and 2 are registered (site-1, site-2); not registered: site-3; "
        "2 more have never been here. Let them register once and submit it again, or submit it for fewer "
        "sites."
    )


def test_a_site_that_was_here_before_may_come_back() -> None:
    lack = lacking(demand(2), sites("site-1", away=("site-2",)))
    assert lack is not None
    assert not lack.hopeless
    assert "not registered: site-2. It begins when they are there" in lack.finding.line


def test_a_site_that_must_take_part_is_named() -> None:
    lack = lacking(demand(1, ["site-9"]), sites("site-1", "site-2"))
    assert lack is not None
    assert lack.hopeless
    assert lack.finding.line.startswith("mandatory_clients: needs 1 site, site-9 among them, and 2 are")


def test_only_the_sites_that_a_job_is_sent_to_count() -> None:
    lack = lacking(demand(2, to=("site-1", "site-3")), sites("site-1", "site-2", away=("site-3",)))
    assert lack is not None
    assert not lack.hopeless
    assert "1 is registered (site-1); not registered: site-3" in lack.finding.line


def test_only_the_sites_of_a_study_count() -> None:
    assert lacking(demand(2), sites("site-1", "site-2").among({"site-1"})) is not None


def test_a_job_that_says_that_it_waits_has_hope() -> None:
    lack = lacking(demand(5), sites("site-1"), waits=True)
    assert lack is not None
    assert not lack.hopeless


@pytest.mark.parametrize(
    ("props", "seconds"),
    [
        ({"wait_for_sites": 60}, 60.0),
        ({"wait_for_sites": 0}, 0.0),
        ({"wait_for_sites": True}, None),
        ({"wait_for_sites": "long"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_jobs_own_patience_is_a_number_of_seconds(props: Any, seconds: float | None) -> None:
    assert patience_of({"custom_props": props}) == seconds

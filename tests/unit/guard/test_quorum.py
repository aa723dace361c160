"""Which sites a job lacks, and whether the shortage is permanent."""

from __future__ import annotations

from typing import Any

import pytest

from fl_app.guard.quorum import Quorum, Sites, find_shortage, wait_limit_of


def sites(*registered: str, away: tuple[str, ...] = ()) -> Sites:
    return Sites(frozenset(registered), frozenset((*registered, *away)))


def quorum(min_sites: Any = 1, mandatory: Any = None, to: tuple[str, ...] = ("@ALL",)) -> Quorum:
    meta = {"min_clients": min_sites, "mandatory_clients": mandatory, "deploy_map": {"app": list(to)}}
    return Quorum.of(meta)


@pytest.mark.parametrize(
    "needed",
    [
        quorum(2),
        quorum(None),
        quorum(0, []),
        quorum(1, ["site-2"]),
        quorum(2, to=("server", "site-1", "site-2")),
        Quorum.of({}),
    ],
)
def test_a_job_with_its_sites_has_no_shortage(needed: Quorum) -> None:
    assert find_shortage(needed, sites("site-1", "site-2")) is None


def test_a_job_for_more_sites_than_ever_registered_has_a_permanent_shortage_with_all_names() -> None:
    shortage = find_shortage(quorum(5), sites("site-1", "site-2", away=("site-3",)))
    assert shortage is not None
    assert shortage.is_permanent
    assert shortage.finding.line == (
        "min_clients: needs 5 sites, and 2 are registered (site-1, site-2); not registered: site-3; "
        "2 more have never registered. Start the missing sites and submit the job again, or submit it for "
        "fewer sites."
    )


def test_a_shortage_of_known_sites_is_not_permanent() -> None:
    shortage = find_shortage(quorum(2), sites("site-1", away=("site-2",)))
    assert shortage is not None
    assert not shortage.is_permanent
    assert "not registered: site-2. The job starts when they register" in shortage.finding.line


def test_a_mandatory_site_is_named() -> None:
    shortage = find_shortage(quorum(1, ["site-9"]), sites("site-1", "site-2"))
    assert shortage is not None
    assert shortage.is_permanent
    assert shortage.finding.line.startswith("mandatory_clients: needs 1 site, including site-9, and 2 are")


def test_only_the_sites_of_the_deploy_map_count() -> None:
    shortage = find_shortage(quorum(2, to=("site-1", "site-3")), sites("site-1", "site-2", away=("site-3",)))
    assert shortage is not None
    assert not shortage.is_permanent
    assert "1 is registered (site-1); not registered: site-3" in shortage.finding.line


def test_only_the_sites_of_a_study_count() -> None:
    assert find_shortage(quorum(2), sites("site-1", "site-2").restricted_to({"site-1"})) is not None


def test_the_shortage_of_a_job_that_asks_to_wait_is_not_permanent() -> None:
    shortage = find_shortage(quorum(5), sites("site-1"), waits=True)
    assert shortage is not None
    assert not shortage.is_permanent


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
def test_the_wait_limit_of_a_job_is_a_number_of_seconds(props: Any, seconds: float | None) -> None:
    assert wait_limit_of({"custom_props": props}) == seconds

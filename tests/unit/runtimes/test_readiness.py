"""Waiting for a federation: until all are ready, one has ended, or time is up."""

from __future__ import annotations

import pytest

from deploy.errors import Failed
from deploy.runtimes.protocol import FederationStatus, SiteState, SiteStatus
from deploy.runtimes.readiness import wait_until_ready


def federation(**states: SiteStatus | SiteState) -> FederationStatus:
    sites = tuple(
        state if isinstance(state, SiteStatus) else SiteStatus(name=name, role="client", state=state)
        for name, state in states.items()
    )
    return FederationStatus(project="clinics", runtime="process", sites=sites)


def test_it_ends_with_all_ready_and_tells_each_change_once() -> None:
    starting, ready = federation(a=SiteState.STARTING), federation(a=SiteState.READY)
    looks = iter([starting, starting, ready])
    told: list[FederationStatus] = []

    found = wait_until_ready(lambda: next(looks), lambda _: [], told.append, 10, poll=0)

    assert found == ready
    assert told == [starting, ready]


def test_one_that_has_ended_ends_the_wait_with_its_reason_and_the_end_of_its_log() -> None:
    ended = SiteStatus(name="b", role="client", state=SiteState.EXITED, reason="wrong key", exit_code=13)

    with pytest.raises(Failed) as failure:
        wait_until_ready(
            lambda: federation(a=SiteState.STARTING, b=ended), lambda name: [f"log of {name}"], None, 1000
        )

    assert str(failure.value) == (
        "b is not ready: wrong key (exit code 13)\nThe end of the log of b:\n  log of b"
    )


def test_time_that_is_up_names_all_that_are_late_and_no_other() -> None:
    late = SiteStatus(name="b", role="client", state=SiteState.STARTING, reason="it waits for its server")

    with pytest.raises(Failed) as failure:
        wait_until_ready(lambda: federation(a=SiteState.READY, b=late), lambda _: [], None, 0, poll=0)

    assert "b is not ready: it waits for its server" in str(failure.value)
    assert "a is not ready" not in str(failure.value)
    assert "longer than 0 s" in str(failure.value)


def test_nothing_is_never_ready() -> None:
    with pytest.raises(Failed, match="Nothing of the federation runs"):
        wait_until_ready(federation, lambda _: [], None, 0, poll=0)

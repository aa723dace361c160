"""Waiting until a federation is ready."""

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


def test_waiting_ends_when_all_are_ready_and_reports_each_change_once() -> None:
    starting, ready = federation(a=SiteState.STARTING), federation(a=SiteState.READY)
    statuses = iter([starting, starting, ready])
    reported: list[FederationStatus] = []

    found = wait_until_ready(lambda: next(statuses), lambda _: [], reported.append, 10, poll=0)

    assert found == ready
    assert reported == [starting, ready]


def test_waiting_fails_immediately_if_a_site_has_exited_and_shows_reason_and_log() -> None:
    exited = SiteStatus(name="b", role="client", state=SiteState.EXITED, reason="wrong key", exit_code=13)

    with pytest.raises(Failed) as failure:
        wait_until_ready(
            lambda: federation(a=SiteState.STARTING, b=exited), lambda name: [f"log of {name}"], None, 1000
        )

    assert str(failure.value) == (
        "b is not ready: wrong key (exit code 13)\nThe end of the log of b:\n  log of b"
    )


def test_an_expired_timeout_names_the_sites_that_are_not_ready() -> None:
    late = SiteStatus(name="b", role="client", state=SiteState.STARTING, reason="waiting for the server")

    with pytest.raises(Failed) as failure:
        wait_until_ready(lambda: federation(a=SiteState.READY, b=late), lambda _: [], None, 0, poll=0)

    assert "b is not ready: waiting for the server" in str(failure.value)
    assert "a is not ready" not in str(failure.value)
    assert "timeout of 0 s" in str(failure.value)


def test_a_federation_without_sites_is_not_ready() -> None:
    with pytest.raises(Failed, match="No server or site is running"):
        wait_until_ready(federation, lambda _: [], None, 0, poll=0)

"""Readiness and health of a site, from the server's replies to heartbeats."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message

from fl_app.nvflare_internals.parents import SiteParent
from fl_app.survival.limits import LATE_SECONDS
from fl_app.telemetry import site_view
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.site_view import REFUSED_SECONDS, STALLED_SECONDS, SiteView


class Site:
    """A site with a clock and a server that the test controls, because NVFlare's timeouts take minutes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        self.waiters: dict[str, object] = {"own": None}
        monkeypatch.setattr(site_view, "time", SimpleNamespace(time=lambda: self.now))
        self.client = SimpleNamespace(token=None, cell=SimpleNamespace(core_cell=self))
        engine = SimpleNamespace(get_all_job_ids=lambda: ["job"])
        self.view = SiteView(ParentIdentity("site-1", "client"), SiteParent(self.client, engine))

    def add_incoming_reply_filter(self, channel: str, topic: str, cb: Any) -> None:
        self.hear = cb

    def register(self) -> None:
        self.client.token = "token"
        self.view.notice(EventType.AFTER_CLIENT_REGISTER)

    def heartbeat(self, code: str | None = ReturnCode.OK, error: str = "", request: str = "own") -> None:
        """Send a heartbeat; reply unless `code` is None. NVFlare fires both events either way.

        Args:
            code: return code of the reply.
            error: error of the reply.
            request: id of the request that is replied to.
        """
        self.view.notice(EventType.BEFORE_CLIENT_HEARTBEAT)
        if code is not None:
            headers = {MessageHeaderKey.RETURN_CODE: code, MessageHeaderKey.ERROR: error}
            self.hear(Message(headers | {MessageHeaderKey.REQ_ID: [request]}))
        self.view.notice(EventType.AFTER_CLIENT_HEARTBEAT)

    def metrics(self) -> dict[str, float]:
        return {sample.name: sample.value for family in self.view.metrics() for sample in family.samples}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(monkeypatch)


def test_an_unregistered_site_is_not_ready(site: Site) -> None:
    site.view.notice(EventType.AFTER_CLIENT_REGISTER)  # also fires for a refused registration

    assert site.view.not_ready() == "not registered with the server yet"
    assert site.metrics()["nvflare_registered"] == 0


def test_a_site_is_ready_while_the_server_replies(site: Site) -> None:
    site.register()
    assert site.view.not_ready() is None
    assert site.metrics()["nvflare_registered"] == 1
    assert site.metrics()["nvflare_jobs"] == 1

    site.now += LATE_SECONDS + 1
    site.heartbeat(code=None)
    assert "has not answered for 36 s; it is down, unreachable, or another" in str(site.view.not_ready())
    assert site.metrics()["nvflare_registered"] == 0
    assert site.view.unhealthy() is None

    site.heartbeat()
    assert site.view.not_ready() is None
    assert site.metrics()["nvflare_last_contact_timestamp_seconds"] == site.now


def test_a_refused_site_becomes_unhealthy_and_is_ready_when_it_is_accepted_again(
    site: Site,
) -> None:
    site.register()
    site.heartbeat(ReturnCode.COMM_ERROR, "Client ID already registered as a client: site-1")
    assert "another process uses this kit" in str(site.view.not_ready())
    assert site.view.unhealthy() is None

    site.now += REFUSED_SECONDS + 1
    site.heartbeat(ReturnCode.UNAUTHENTICATED, "Client 'site-1' is disabled")
    assert "disabled" in str(site.view.not_ready())
    assert "refused this site for 121 s" in str(site.view.unhealthy())
    assert site.metrics()["nvflare_registered"] == 0
    assert site.metrics()["nvflare_heartbeats_refused_total"] == 2

    site.heartbeat()
    assert site.view.not_ready() is None


def test_a_site_without_attempted_heartbeats_is_unhealthy(site: Site) -> None:
    site.register()
    site.heartbeat()
    site.now += STALLED_SECONDS + 1

    assert "no heartbeat was attempted for 121 s" in str(site.view.unhealthy())


def test_a_reply_to_another_process_with_the_same_kit_is_ignored(site: Site) -> None:
    site.register()
    site.now += LATE_SECONDS + 1

    site.heartbeat(ReturnCode.OK, request="of the other")
    assert "has not answered" in str(site.view.not_ready())

    site.heartbeat()
    site.heartbeat(ReturnCode.COMM_ERROR, "already registered", request="of the other")
    assert site.view.not_ready() is None
    assert site.metrics()["nvflare_heartbeats_refused_total"] == 0

"""Reports of sites whose job pods are pending, in the server's job process."""

from __future__ import annotations

import time

from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message

from deploy.session.display import site_text
from deploy.session.session import _add_waiting_sites
from fl_app.launchers.pending_pods import STALE_SECONDS, PendingSites
from fl_app.telemetry.job_progress import JobProgress, SiteProgress


def report(sites: PendingSites, origin: str, payload: object) -> str:
    reply = sites._receive(Message({MessageHeaderKey.ORIGIN: origin}, payload))
    return str(reply.get_header(MessageHeaderKey.RETURN_CODE))


def test_a_report_is_dropped_when_it_is_stale_or_withdrawn() -> None:
    sites = PendingSites()
    assert report(sites, "site-1", {"reason": "no GPU"}) == ReturnCode.OK
    now = time.monotonic()
    assert sites.pending(now) == {"site-1": "no GPU"}
    assert sites.pending(now + STALE_SECONDS + 1) == {}
    report(sites, "site-1", {"reason": ""})
    assert sites.pending(now) == {}


def test_a_site_reports_only_about_itself_and_long_reasons_are_cut() -> None:
    sites = PendingSites()
    report(sites, "site-2.job.x", {"reason": "y" * 10_000, "site": "site-1"})
    assert {site: len(text) for site, text in sites.pending(time.monotonic()).items()} == {"site-2": 600}


def test_an_invalid_report_is_rejected() -> None:
    sites = PendingSites()
    for payload in (None, "text", {}, {"reason": 5}, ["reason"]):
        assert report(sites, "site-1", payload) == ReturnCode.INVALID_REQUEST
    assert report(sites, "", {"reason": "x"}) == ReturnCode.INVALID_REQUEST
    assert sites.pending(time.monotonic()) == {}


def test_watch_shows_the_reason_of_each_pending_site() -> None:
    progress = _add_waiting_sites(
        JobProgress(sites={"site-1": SiteProgress(rounds_done=1)}), {"site-2": "no GPU"}
    )
    assert site_text(progress.sites["site-2"]) == "waiting for its job pod: no GPU"
    assert site_text(progress.sites["site-1"]) == "1 round done"
    assert _add_waiting_sites(progress, None) == progress

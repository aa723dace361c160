"""What the server's job process knows of sites that wait for their job pods."""

from __future__ import annotations

import time

from nvflare.fuel.f3.cellnet.defs import MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.message import Message

from deploy.session.display import _site_words
from deploy.session.session import _with_waiting
from fl_app.launchers.pending_pods import FORGOTTEN_AFTER, PendingSites
from fl_app.telemetry.job_progress import JobProgress, SiteProgress


def say(sites: PendingSites, origin: str, payload: object) -> str:
    reply = sites._told(Message({MessageHeaderKey.ORIGIN: origin}, payload))
    return str(reply.get_header(MessageHeaderKey.RETURN_CODE))


def test_a_site_waits_as_long_as_it_says_so() -> None:
    sites = PendingSites()
    assert say(sites, "site-1", {"reason": "no GPU"}) == ReturnCode.OK
    now = time.monotonic()
    assert sites.waiting(now) == {"site-1": "no GPU"}
    assert sites.waiting(now + FORGOTTEN_AFTER + 1) == {}
    say(sites, "site-1", {"reason": ""})
    assert sites.waiting(now) == {}


def test_a_site_speaks_for_itself_and_briefly() -> None:
    sites = PendingSites()
    say(sites, "site-2.job.x", {"reason": "y" * 10_000, "site": "site-1"})
    assert {site: len(text) for site, text in sites.waiting(time.monotonic()).items()} == {"site-2": 600}


def test_what_is_no_reason_is_refused() -> None:
    sites = PendingSites()
    for payload in (None, "text", {}, {"reason": 5}, ["reason"]):
        assert say(sites, "site-1", payload) == ReturnCode.INVALID_REQUEST
    assert say(sites, "", {"reason": "x"}) == ReturnCode.INVALID_REQUEST
    assert sites.waiting(time.monotonic()) == {}


def test_whoever_watches_the_job_is_told_which_site_waits_and_for_what() -> None:
    progress = _with_waiting(JobProgress(sites={"site-1": SiteProgress(rounds_done=1)}), {"site-2": "no GPU"})
    assert _site_words(progress.sites["site-2"]) == "waits for its job pod: no GPU"
    assert _site_words(progress.sites["site-1"]) == "1 round done"
    assert _with_waiting(progress, None) == progress

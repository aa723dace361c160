"""What the server's process of a job knows about the sites of the job."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.contract import ENV_SITE_WAIT, ENV_SURVIVAL
from fl_app.nvflare_internals.liveness import GRACE_VARIABLE
from fl_app.survival import job_liveness
from fl_app.survival.job_liveness import JobLiveness, PatientJob, silence_text
from tests.unit.survival.server import Clock

LIMIT = 300.0


@pytest.fixture
def sites(clock: Clock) -> JobLiveness:
    made = JobLiveness(clock)
    made.expect(["site-1", "site-2"])
    return made


def test_an_idle_site_that_stopped_polling_is_silent(clock: Clock, sites: JobLiveness) -> None:
    clock.now = 200
    sites.polled("site-1")
    clock.now = 400
    assert sites.silent(LIMIT) == {"site-2": 400}


def test_nothing_is_known_about_a_site_with_a_task_that_never_sent_a_heartbeat(
    clock: Clock, sites: JobLiveness
) -> None:
    sites.assigned("site-2")
    clock.now = 10_000
    assert "site-2" not in sites.silent(LIMIT)


def test_a_site_with_a_task_that_stopped_its_heartbeats_is_silent(clock: Clock, sites: JobLiveness) -> None:
    sites.assigned("site-2")
    sites.received("site-2")
    clock.now = 290
    assert sites.silent(LIMIT) == {}
    clock.now = 301
    assert "site-2" in sites.silent(LIMIT)


def test_a_training_that_holds_the_interpreter_lives_while_its_parent_vouches(
    clock: Clock, sites: JobLiveness
) -> None:
    sites.assigned("site-2")
    sites.received("site-2")
    clock.now = 1200
    sites.polled("site-1")
    sites.vouched({"site-2": 4.0})
    assert sites.late() == {}
    clock.now += 36
    assert sites.late() == {"site-1": 36, "site-2": 40}


def test_an_old_word_of_a_parent_hides_no_newer_message(clock: Clock, sites: JobLiveness) -> None:
    clock.now = 100
    sites.polled("site-1")
    sites.vouched({"site-1": 60.0})
    assert "site-1" not in sites.late()


def test_without_an_answer_of_the_parent_the_messages_of_the_job_count(
    clock: Clock, sites: JobLiveness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("not connected")

    monkeypatch.setattr(job_liveness, "ask_parent", fail)
    clock.now = 50
    sites.polled("site-1")
    sites.refresh(SimpleNamespace())
    assert sites.late() == {"site-2": 50}


def test_no_site_was_silent_while_this_process_was_suspended(
    clock: Clock, sites: JobLiveness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_liveness, "ask_parent", lambda *_: {})
    for now, expected in (
        (0.0, {}),
        (5.0, {}),
        (65.0, {}),
        (75.0, {}),
        (101.0, {"site-1": 36, "site-2": 36}),
    ):
        clock.now = now
        if now < 100:
            sites.refresh(SimpleNamespace())
        assert sites.late() == expected


def test_only_another_job_process_has_another_life(sites: JobLiveness) -> None:
    assert not sites.received("site-1", "first")
    assert not sites.received("site-1", "first")
    assert sites.received("site-1", "second")
    assert not sites.received("site-1", "second")


@pytest.mark.parametrize(
    ("seconds", "text"), [(36.4, "36 s"), (119, "1 min 59 s"), (150, "2 min"), (3725, "1 h 2 min")]
)
def test_a_wait_is_told_in_minutes_once_it_is_long(seconds: float, text: str) -> None:
    assert silence_text(seconds) == f"no sign of life for {text}"


@pytest.mark.parametrize(("enabled", "expected"), [("true", "500.0"), ("false", None)])
def test_nvflare_waits_for_a_missing_job_process_as_long_as_the_guard(
    enabled: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GRACE_VARIABLE, "")
    monkeypatch.delenv(GRACE_VARIABLE)
    monkeypatch.setenv(ENV_SURVIVAL, enabled)
    monkeypatch.setenv(ENV_SITE_WAIT, "500")
    context = FLContext()
    context.set_prop(FLContextKey.JOB_META, {}, private=True, sticky=False)

    PatientJob().handle(EventType.START_RUN, context)

    assert os.environ.get(GRACE_VARIABLE) == expected

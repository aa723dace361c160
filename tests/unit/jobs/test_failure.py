"""The cause of a failure, extracted from NVFlare's logs."""

from __future__ import annotations

import json

import pytest

from deploy.session.failure import GUARD, explain, last_error
from deploy.session.session import Job
from fl_app.guard.site_error import SITE_ERROR_MARK, SiteError

AT = "2026-11-23 20:30:57,116 -"
SITE = f"""\
{AT} ClientRunner - INFO - [identity=site-1, run=c78] - got task assignment
{AT} Hospital - ERROR - [identity=site-1, run=c78] - Traceback (most recent call last):
  File "/opt/lib/python3.11/site-packages/nvflare/private/fed/client/client_runner.py", line 410, in _process
    reply = executor.execute(task_name, task_data, fl_ctx, abort_signal)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/client.py", line 11, in train
    raise ValueError("negative age in row 7")
ValueError: negative age in row 7
{AT} worker_process - ERROR - FL client execution exception: RuntimeError: job aborted
{AT} MPM - INFO - MPM: Good Bye!
"""


def test_the_last_exception_is_shown_without_nvflares_own_frames() -> None:
    error = last_error(SITE)
    assert error.endswith("ValueError: negative age in row 7")
    assert 'File "/app/client.py", line 11, in train' in error
    assert "client_runner" not in error
    assert "^^^" not in error


def test_errors_about_the_end_of_the_job_are_no_cause() -> None:
    assert "job aborted" not in last_error(SITE)


@pytest.mark.parametrize(
    "text",
    [
        "failed to send task result to server - will try again",
        "failed to send task result: timeout",
        "Error getting task: failed to download from server.db270d65",
        "failed to download object with ref f4cd0b88: download aborted after 0.10074019432067871 secs",
        "exception sending request: RuntimeError: failed to download from server.db270d65",
        "Stream error: blob_cb threw AttributeError: 'NoneType' object has no attribute 'get_widget'",
    ],
)
def test_consequences_of_an_aborted_job_are_no_cause(text: str) -> None:
    assert last_error(f"{AT} ClientRunner - ERROR - {text}\n") == ""


def test_an_error_without_an_exception_is_shown_unchanged() -> None:
    log = f"{AT} Hospital - ERROR - [identity=site-1, run=c78] - train() must return a LocalResult\n"
    assert last_error(log) == "train() must return a LocalResult"


def test_an_exception_takes_precedence_over_a_later_error() -> None:
    log = SITE + f"{AT} Some - ERROR - cannot send\n"
    assert last_error(log).endswith("negative age in row 7")


def test_a_log_without_errors_has_no_cause() -> None:
    assert last_error(f"{AT} ClientRunner - INFO - all is well\n") == ""
    assert last_error("") == ""
    assert last_error("binary \x00 noise\nwithout a single log line") == ""


class Session:
    """A session without methods: a job that never started has no logs to fetch."""


def test_a_job_that_never_started_reports_what_it_waited_for() -> None:
    meta = {"job_id": "1", "name": "hospital", "status": "FINISHED:CAN_NOT_SCHEDULE"}
    job = Job.of({**meta, "schedule_history": ["2026-11-28 14:00:00: min_clients: needs 5 sites"]})
    (error,) = explain(Session(), job)  # type: ignore[arg-type]
    assert error.site == "server"
    assert "needs 5 sites" in error.text


SITE_2 = SiteError("ValueError: negative age", "client.py:11", "raise ValueError", "site-2", "train", 2)


class ServerLog:
    """A session that has only the log of the server."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def server_log(self, job_id: str) -> str:
        return "".join(f"{AT} JobGuard - ERROR - [identity=x] - {line}\n" for line in self.lines)


def sent(error: SiteError) -> str:
    return f"{SITE_ERROR_MARK} {json.dumps(error.document())}"


def explained(*lines: str) -> dict[str, str]:
    job = Job.of({"job_id": "1", "name": "hospital", "status": "FINISHED:EXECUTION_EXCEPTION"})
    return {error.site: error.text for error in explain(ServerLog(*lines), job)}  # type: ignore[arg-type]


def test_the_error_that_a_site_sent_replaces_its_consequences() -> None:
    assert explained(sent(SITE_2), "Aborted due to bad result from site-2") == {
        "site-2": "ValueError: negative age (client.py:11), in round 2\n  raise ValueError"
    }


def test_only_the_first_error_of_a_site_is_shown() -> None:
    (text,) = explained(sent(SITE_2), sent(SiteError("a consequence", site="site-2"))).values()
    assert text.startswith("ValueError")


@pytest.mark.parametrize(
    ("reason", "sources"),
    [
        ("site-2, round 2: its job process ended. Fix it.", ["site-2"]),
        ("site-2: failed in the evaluation. Fix it.", ["site-2"]),
        ("site-2, round 3: returned NaN. Fix it.", ["site-2", GUARD]),
        ("site-2, round 3: ValueError: negative age (client.py:11): the task cannot complete.", ["site-2"]),
        ("site-20, round 2: returned NaN. Fix it.", ["site-2", GUARD]),
        ("server, model: is not finite. Fix it.", ["site-2", GUARD]),
    ],
)
def test_a_reason_of_the_guard_about_the_same_site_is_not_repeated(reason: str, sources: list[str]) -> None:
    assert list(explained(sent(SITE_2), f"[guard] {reason}")) == sources

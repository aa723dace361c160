"""The cause of a failure, extracted from NVFlare's logs."""

from __future__ import annotations

import json

import pytest

from deploy.session import failure
from deploy.session.failure import GUARD, SERVER, explain, last_error
from deploy.session.session import Job
from fl_app.guard.site_error import SITE_ERROR_MARK, SiteError
from fl_app.survival.interventions import HISTORY_META, Intervention, Kind

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


def test_of_two_exceptions_the_second_is_shown_alone() -> None:
    second = """
Traceback (most recent call last):
  File "/app/job.py", line 3, in load
    raise TypeError("can't load the class")
TypeError: can't load the class
"""
    while_handling = "During handling of the above exception, another exception occurred:"

    shown = last_error(SITE.partition(f"{AT} worker_process")[0] + f"\n{while_handling}\n{second}")

    assert shown.splitlines()[0] == "Traceback (most recent call last):"
    assert shown.endswith("TypeError: can't load the class")


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


class DeniedJob:
    """A session of a server that writes what sites answered just after it has set the job's status."""

    def __init__(self, *answers: str) -> None:
        self.answers = answers

    def job(self, job_id: str) -> Job:
        return Job.of({**DENIED, "job_deploy_detail": list(self.answers)})


DENIED = {"job_id": "1", "name": "own", "status": "FINISHED:FAILED_TO_RUN"}


def test_a_site_that_denies_the_job_is_named_with_its_reason() -> None:
    session = DeniedJob(
        "server: OK",
        "site-1: NVFLARE_ERROR: BYOC not permitted",
        "site-2: OK",
        "site-3: no reply (deployment timeout)",
        "num_ok_sites 1 < required_min_sites 3",
    )

    found = {error.site: error.text for error in explain(session, Job.of(DENIED))}  # type: ignore[arg-type]

    assert found == {
        "site-1": "BYOC not permitted: the site denies code in a job (`byoc` in its authorization.json)",
        "site-3": "no reply (deployment timeout)",
    }


SITE_2 = SiteError("ValueError: negative age", "client.py:11", "raise ValueError", "site-2", "train", 2)


class ServerLog:
    """A session that has only the log of the server."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def server_log(self, job_id: str) -> str:
        return "".join(f"{AT} JobGuard - ERROR - [identity=x] - {line}\n" for line in self.lines)

    def error_logs(self, job_id: str) -> dict[str, str]:
        return {}


def sent(error: SiteError) -> str:
    return f"{SITE_ERROR_MARK} {json.dumps(error.document())}"


def explained(*lines: str, **meta: object) -> dict[str, str]:
    job = Job.of({"job_id": "1", "name": "hospital", "status": "FINISHED:EXECUTION_EXCEPTION", **meta})
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


FATAL = "Aborting current RUN due to FATAL_SYSTEM_ERROR received: "
RAISED = "Exception in workflow controller: ValueError: no such class: 7"
TRACEBACK = """Traceback (most recent call last):
  File "/app/controller.py", line 8, in control_flow
    raise ValueError("no such class: 7")
ValueError: no such class: 7"""


@pytest.fixture
def no_logs_of_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites send their logs at once or never."""
    monkeypatch.setattr(failure, "LOG_TIMEOUT", 0.0)


def test_the_text_of_a_panic_is_the_reason() -> None:
    assert explained(f"{FATAL}the server has no initial model") == {SERVER: "the server has no initial model"}


def test_only_the_first_panic_is_the_reason() -> None:
    assert explained(f"{FATAL}no initial model", f"{FATAL}a consequence") == {SERVER: "no initial model"}


@pytest.mark.parametrize("log", [(RAISED, TRACEBACK), (f"{RAISED}\n{TRACEBACK}",)])
def test_an_exception_of_the_server_is_shown_beside_the_tolerated_error_of_a_site(
    log: tuple[str, ...],
) -> None:
    errors = explained(sent(SITE_2), *log, FATAL + RAISED)
    assert list(errors) == ["site-2", SERVER]
    assert errors[SERVER].endswith("ValueError: no such class: 7")
    assert "/app/controller.py" in errors[SERVER]


@pytest.mark.parametrize(
    "consequence",
    [
        f"{FATAL}Result from site-2 is bad, error code: EXECUTION_EXCEPTION. FedAvg exiting at round 1.",
        f"{FATAL}received failure report from client site-2: EXECUTION_EXCEPTION",
        f"{FATAL}[guard] site-2, round 2: its job process ended. Fix it.",
        FATAL + "{'__headers__': {}}",
    ],
)
def test_a_panic_about_a_site_that_sent_its_error_is_not_repeated(consequence: str) -> None:
    assert list(explained(sent(SITE_2), consequence)) == ["site-2"]


def test_the_names_of_sites_are_not_confused() -> None:
    assert list(explained(sent(SITE_2), f"{FATAL}site-20 is missing")) == ["site-2", SERVER]


def test_an_abort_names_the_administrator() -> None:
    errors = explained(status="FINISHED:ABORTED", **{"flarefleet.aborted_by": "lead@example.org"})
    assert errors == {SERVER: "aborted by lead@example.org"}


def test_an_abort_after_the_error_of_a_site_shows_both() -> None:
    errors = explained(
        sent(SITE_2),
        f"{FATAL}job aborted",
        status="FINISHED:ABORTED",
        **{"flarefleet.aborted_by": "lead@example.org"},
    )
    assert list(errors) == [SERVER, "site-2"]


@pytest.mark.usefixtures("no_logs_of_sites")
def test_a_job_without_an_error_in_any_log_ends_with_what_was_killed() -> None:
    killed = "its job process was killed by signal 9"
    history = [
        Intervention(Kind.RESTARTED, f"{killed}; started again", "north"),
        Intervention(Kind.RESUMED, "resumed after round 7"),
        Intervention(Kind.RESTARTED, f"{killed}; not started again: 5 restarts in 10 minutes", "north"),
    ]
    errors = explained(**{HISTORY_META: [one.document() for one in history]})
    assert errors == {"north": f"{killed}; not started again: 5 restarts in 10 minutes"}

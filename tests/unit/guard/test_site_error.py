"""The error of a site: what it says, what leaves the site, and what becomes of it on the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nvflare.apis.fl_constant import FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fl_app.guard.rule_table import Level, Levels
from fl_app.guard.site_error import MAX_DETAILS, SITE_ERROR_MARK, SiteError, site_errors_in
from fl_app.guard.site_errors import MAX_ERRORS, SiteErrors
from fl_app.guard.stalled import MAX_SENDS, find_unanswered_task, forget_sends
from fl_app.telemetry.job_progress import SITE_ERROR_EVENT
from tests.unit.guard.tasks import broadcast, controller

MISSING = "ModuleNotFoundError: No module named 'medpy'"


def test_an_error_names_the_exception_its_line_and_its_round() -> None:
    error = SiteError(MISSING, "client.py:3", "import medpy", round=2)
    assert error.text == f"{MISSING} (client.py:3), in round 2\n  import medpy"


def test_the_text_of_a_site_is_bounded_and_cannot_control_a_terminal() -> None:
    error = SiteError.of({"what": "\x1b[2Jgone\n", "details": "\x07é" * 10**6, "round": "3"}, "site-2")
    assert error.what == "[2Jgone "
    assert error.round is None
    assert len(error.details.encode()) <= MAX_DETAILS + 3
    assert "\x07" not in error.details
    assert len(json.dumps(error.document(), ensure_ascii=False).encode()) < 8192


def test_a_message_without_fields_is_an_unknown_error() -> None:
    assert SiteError.of({"other": 1}, "site-2") == SiteError("unknown error", site="site-2")


def test_errors_are_found_in_a_log_of_the_server() -> None:
    error = SiteError(MISSING, "client.py:3", "line 1\nline 2", site="site-2", round=1)
    log = f"2026 - JobGuard - ERROR - {SITE_ERROR_MARK} {json.dumps(error.document())}\n"
    assert list(site_errors_in(f"noise\n{log}{SITE_ERROR_MARK} not JSON\n{SITE_ERROR_MARK} []\n")) == [error]


class Server:
    """The server of a job: its log, its events and its end."""

    def __init__(self, *tasks: Any) -> None:
        self.log: list[str] = []
        self.events: list[tuple[str, Any]] = []
        self.ended: list[str] = []
        self.handler: Any = None
        self.controller = controller(*tasks)
        self.errors = SiteErrors(self, lambda finding, _: self.ended.append(finding.line))  # type: ignore[arg-type]
        self.errors.start(self)

    def register_aux_message_handler(self, topic: str, message_handle_func: Any) -> None:
        self.handler = message_handle_func

    def log_error(self, fl_ctx: FLContext, text: str, fire_event: bool = True) -> None:
        self.log.append(text)

    def fire_event(self, event: str, fl_ctx: FLContext) -> None:
        self.events.append((event, fl_ctx.get_prop(FLContextKey.EVENT_DATA)))

    def receive(self, error: SiteError, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("fl_app.guard.site_errors.current_controller", lambda _: self.controller)
        context, peer = FLContext(), FLContext()
        peer.set_prop(ReservedKey.IDENTITY_NAME, "site-2", private=False, sticky=True)
        context.set_peer_context(peer)
        context.set_prop(ReservedKey.ENGINE, self, private=True, sticky=True)
        self.handler("topic", Shareable(error.document()), context)


def test_an_error_alone_is_logged_and_shown_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(broadcast("site-1", "site-3", sent=1.0))
    server.receive(SiteError(MISSING, "client.py:3", site="site-1", task="train"), monkeypatch)
    (error,) = site_errors_in("\n".join(server.log))
    assert (error.site, error.what) == ("site-2", MISSING), "the sender counts, not what it says"
    assert server.events == [(SITE_ERROR_EVENT, ("site-2", f"{MISSING} (client.py:3)"))]
    assert server.ended == []


def test_a_provisional_error_is_shown_and_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.receive(SiteError("hangs", is_provisional=True), monkeypatch)
    assert server.events == [(SITE_ERROR_EVENT, ("site-2", "hangs"))]
    assert server.log == []


def test_a_gone_site_ends_a_job_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(broadcast("site-1", "site-3", sent=1.0))
    server.receive(SiteError("its job process ended with exit code 0", ends_site=True), monkeypatch)
    (reason,) = server.ended
    assert reason.startswith("site-2")
    assert "its job process ended with exit code 0 in the middle of the task 'train'" in server.log[0]


def test_a_site_whose_next_process_runs_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.receive(SiteError("its job process ended with exit code 0", ends_site=True), monkeypatch)
    server.errors.is_back("site-2")
    waiting = controller(broadcast("site-1", "site-3", sent=1.0))
    assert server.errors.find_gone_site(waiting) is None


def test_a_job_that_does_not_need_the_gone_site_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(broadcast("site-1", "site-3", sent=1.0, min_responses=2))
    server.receive(SiteError("its job process ended with exit code 0", ends_site=True), monkeypatch)
    assert server.ended == []


def test_an_error_that_the_workflow_did_without_is_a_warning_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    server.receive(SiteError("hangs", is_provisional=True), monkeypatch)
    server.receive(SiteError(MISSING, "client.py:3", round=1), monkeypatch)
    (finding,) = server.errors.tolerated()
    assert finding.line.startswith(f"site-2, round 1: {MISSING} (client.py:3): the job completed without")
    assert Levels().of(finding.rule) is Level.WARN


def test_a_site_that_sends_errors_without_end_does_not_fill_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    for _ in range(100):
        server.receive(SiteError(MISSING), monkeypatch)
    assert len(server.log) == MAX_ERRORS


@pytest.mark.parametrize(
    ("sends", "needed", "ends"), [(MAX_SENDS - 1, 3, False), (MAX_SENDS, 3, True), (MAX_SENDS, 2, False)]
)
def test_a_site_that_asks_again_without_an_answer_ends_the_job(sends: int, needed: int, ends: bool) -> None:
    task = broadcast("site-1", "site-3", sent=1.0, min_responses=needed)
    for one in task.client_tasks:
        one.task_send_count = sends
    finding = find_unanswered_task(controller(task))
    assert (finding is not None) is ends
    if finding is not None:
        assert finding.line.startswith("site-2: has received the task 'train' 5 times")
        assert Levels().of(finding.rule) is Level.ERROR


def test_a_job_process_that_is_started_again_may_receive_its_task_again() -> None:
    task = broadcast("site-1", "site-3", sent=1.0)
    for one in task.client_tasks:
        one.task_send_count = MAX_SENDS
    forget_sends(controller(task), "site-2")
    assert find_unanswered_task(controller(task)) is None

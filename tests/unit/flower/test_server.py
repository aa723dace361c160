"""What the server does when a SuperNode exits, or sends no requests."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.tie.controller import _ClientStatus
from nvflare.app_common.tie.defs import Constant

from fl_app.flower.server import FlowerServer
from fl_app.survival.job_liveness import JobLiveness, job_liveness_of


class RecordingServer(FlowerServer):
    """Records why the job would end."""

    def __init__(self) -> None:
        super().__init__(app="an_app", run_config={})
        self.client_statuses["site-1"] = _ClientStatus()
        self.reasons: list[str] = []

    def system_panic(self, reason: str, fl_ctx: FLContext) -> None:
        self.reasons.append(reason)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> RecordingServer:
    monkeypatch.setattr("fl_app.guard.finding.report", lambda *_: None)  # needs an engine
    return RecordingServer()


def exit_super_node(server: RecordingServer, exit_code: int = 0) -> Any:
    peer = FLContext()
    peer.set_prop("__identity_name__", "site-1", private=False)
    context = FLContext()
    context.set_peer_context(peer)
    request = Shareable()
    request[Constant.MSG_KEY_EXIT_CODE] = exit_code
    return server._process_client_done("done", request, context)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_super_node_that_exits_before_the_app_ends_the_job(server: RecordingServer, exit_code: int) -> None:
    exit_super_node(server, exit_code)
    (reason,) = server.reasons
    assert reason.startswith(f"site-1: its SuperNode exited before the ServerApp (exit code {exit_code}).")


@pytest.mark.parametrize("ended", ["the run is done", "the job is aborted"])
def test_a_super_node_that_exits_after_the_end_adds_no_reason(server: RecordingServer, ended: str) -> None:
    """Sites learn that the run has finished seconds before the controller."""
    server.get_applet(FLContext()).flower_run_finished = ended == "the run is done"
    server.abort_signal = Signal()
    if ended == "the job is aborted":
        server.abort_signal.trigger(True)

    exit_super_node(server)

    assert not server.reasons
    assert server.client_statuses["site-1"].app_done


@pytest.fixture
def liveness(server: RecordingServer) -> JobLiveness:
    """What the job knows about its site, whose SuperNode sent its last request an hour ago."""
    server._engine = object()
    server.client_statuses["site-1"].last_op_time = time.time() - 3600
    server.max_client_op_interval = server.progress_timeout = 90.0
    return job_liveness_of(server._engine)


def test_a_site_whose_parent_vouches_is_not_given_up(server: RecordingServer, liveness: JobLiveness) -> None:
    liveness.vouched({"site-1": 20.0})
    assert not server._check_job_status(FLContext())
    assert server.reasons == []


def test_a_site_without_any_sign_of_life_is_given_up(server: RecordingServer, liveness: JobLiveness) -> None:
    assert server._check_job_status(FLContext())
    assert "site-1 didn't have any activity for 90.0 seconds" in server.reasons[0]

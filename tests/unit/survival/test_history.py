"""What the history of a job keeps, and who may write it."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.fl_constant import CellMessageAuthHeaderKey, ProcessType, ReservedKey
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.job_def import JobMetaKey, RunStatus
from nvflare.fuel.f3.cellnet.utils import make_reply

from fl_app.nvflare_internals.parent_messages import Sender, sender_of
from fl_app.survival import history
from fl_app.survival.interventions import HISTORY_META, MAX_HISTORY, Intervention, Kind
from tests.unit.survival.server import Server
from tests.waiting import eventually

KILLED = Intervention(Kind.RESTARTED, "killed by signal 9; started again", "north")


def message(name: str, token: str) -> Any:
    headers = {CellMessageAuthHeaderKey.CLIENT_NAME: name, CellMessageAuthHeaderKey.TOKEN: token}
    return SimpleNamespace(get_header=headers.get)


def test_the_parent_of_the_server_stores_an_intervention_and_tells_its_listeners(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, Intervention]] = []
    monkeypatch.setattr(history, "_listeners", [lambda *_: 1 / 0, lambda *event: heard.append(event)])
    job_id = server.submit()

    history.record(server, job_id, KILLED)

    assert server.history(job_id) == ["restarted north: killed by signal 9; started again"]
    assert heard == [(job_id, KILLED)]


def test_a_job_that_was_deleted_has_no_history(server: Server) -> None:
    history.record(server, "7c5b8c5e-0000-4000-8000-000000000000", KILLED)


def test_a_long_history_keeps_its_start_and_its_end(server: Server) -> None:
    job_id = server.submit()
    with server.new_context() as fl_ctx:
        entries = [Intervention(Kind.WAITING, str(number)).document() for number in range(MAX_HISTORY)]
        server.manager.update_meta(job_id, {HISTORY_META: entries}, fl_ctx)

    history.record(server, job_id, Intervention(Kind.WAITING, "last"))

    lines = server.history(job_id)
    assert len(lines) == MAX_HISTORY
    assert (lines[0], lines[-2], lines[-1]) == (
        "waiting : 0",
        f"waiting : {MAX_HISTORY - 1}",
        "waiting : last",
    )


def test_a_status_is_not_lost_while_the_history_grows(server: Server) -> None:
    job_id = server.submit()
    store = server.components["job_store"]
    get_meta = store.get_meta
    store.get_meta = lambda uri: [get_meta(uri), time.sleep(0.01)][0]  # let the other thread run in between

    def grow() -> None:
        for _ in range(10):
            history.record(server, job_id, KILLED)

    thread = threading.Thread(target=grow)
    thread.start()
    with server.new_context() as fl_ctx:
        for status in [RunStatus.DISPATCHED, RunStatus.RUNNING] * 5:
            server.manager.set_status(job_id, status, fl_ctx)
    thread.join()

    assert server.job(job_id).meta[JobMetaKey.STATUS.value] == RunStatus.RUNNING.value
    assert len(server.history(job_id)) == 10


@pytest.mark.parametrize(
    ("sender", "stored"),
    [
        (Sender(site="north"), ["restarted north: killed by signal 9; started again"]),
        (Sender(site="south"), ["restarted south: killed by signal 9; started again"]),
        (Sender(site="elsewhere"), []),
        (Sender(job="own"), ["restarted north: killed by signal 9; started again"]),
        (Sender(job="another"), []),
    ],
    ids=["site", "site-cannot-report-for-another", "not-in-the-job", "job", "another-job"],
)
def test_only_a_site_of_the_job_and_the_job_itself_report(
    server: Server, sender: Sender, stored: list[str]
) -> None:
    job_id = server.submit()
    server.run(job_id, server.register("north", "t1"), server.register("south", "t2"))
    sender = Sender(job=job_id) if sender.job == "own" else sender

    assert history.receive(server, sender, {"job_id": job_id, **KILLED.document()})

    assert server.history(job_id) == stored


@pytest.mark.parametrize("document", [{}, {"kind": "unknown"}, {**KILLED.document(), "time": None}])
def test_a_report_that_is_no_intervention_is_dropped(server: Server, document: dict[str, Any]) -> None:
    job_id = server.submit()

    assert history.receive(server, Sender(job=job_id), {"job_id": job_id, **document})

    assert server.history(job_id) == []


def test_the_sender_is_known_by_the_token_that_nvflare_verified(server: Server) -> None:
    server.register("north", "t1")

    assert sender_of(message("north", "t1"), server) == Sender(site="north")
    assert sender_of(message("south", "t1"), server) is None
    assert sender_of(message("north", "old"), server) is None
    assert sender_of(message("server_job", "id-of-job"), server) == Sender(job="id-of-job")


def test_another_process_sends_an_intervention_until_the_server_accepts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(history, "_outbox", history._Outbox())
    sent: list[Any] = []

    def send_request(**request: Any) -> Any:
        sent.append(request["request"].payload)
        if len(sent) == 1:
            raise RuntimeError("not connected")
        return make_reply("ok" if len(sent) == 3 else "timeout")

    engine = SimpleNamespace(get_cell=lambda: SimpleNamespace(send_request=send_request))
    contexts = FLContextManager(
        engine=engine, private_stickers={ReservedKey.PROCESS_TYPE: ProcessType.CLIENT_PARENT}
    )
    engine.new_context = contexts.new_context

    history.record(engine, "job", KILLED)
    eventually(lambda: len(sent) == 3, 5, "the report is accepted", pause=0.01)
    time.sleep(0.1)

    assert sent == [{"job_id": "job", **KILLED.document()}] * 3


def test_the_schedule_history_of_a_job_that_waits_for_long_keeps_its_start_and_its_end(
    server: Server,
) -> None:
    job_id = server.submit()
    key = JobMetaKey.SCHEDULE_HISTORY.value
    for number in range(MAX_HISTORY + 50):
        job = server.job(job_id)
        job.meta[key] = [*(job.meta.get(key) or ()), str(number)]  # as NVFlare's scheduler
        with server.new_context() as fl_ctx:
            server.manager.refresh_meta(job, [key], fl_ctx)

    kept = server.job(job_id).meta[key]
    assert len(kept) == MAX_HISTORY
    assert (kept[0], kept[-1]) == ("0", str(MAX_HISTORY + 49))

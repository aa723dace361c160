"""The display of a watched job: interventions, outages of the server, and what it waits for."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from nvflare.fuel.flare_api.api_spec import InternalError
from rich.console import Console

from deploy.errors import Failed
from deploy.session import requests
from deploy.session.display import SHOWN_INTERVENTIONS, job_display, print_summary, round_text, site_text
from deploy.session.requests import ServerUnreachable
from deploy.session.session import RUNNING, AdminSession, Job
from deploy.session.watching import Snapshot
from fl_app.survival.interventions import HISTORY_META, Intervention, Kind
from fl_app.telemetry.job_progress import BestModel, JobProgress, SitePhase, SiteProgress

META: dict[str, Any] = {"job_id": "1", "name": "probe", "status": RUNNING}
KILLED = Intervention(Kind.RESTARTED, "its job process was killed by signal 9; started again", "north", 1.0)
RESUMED = Intervention(Kind.RESUMED, "resumed after round 7", time=2.0)


def job(*history: Intervention) -> Job:
    return Job("1", "probe", RUNNING, "", datetime.now(timezone.utc), "", "", "", history=history)


def shown(*snapshots: Job, is_terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=100, color_system=None)
    with job_display(console) as show:
        for one in snapshots:
            show(Snapshot(one, None))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_intervention_is_a_line_once() -> None:
    text = shown(job(), job(KILLED), job(KILLED), job(KILLED, RESUMED))
    assert text.splitlines() == [
        "probe: RUNNING",
        "  north: its job process was killed by signal 9; started again",
        "  server: resumed after round 7",
    ]


def test_the_table_shows_the_last_interventions() -> None:
    history = [Intervention(Kind.REJOINED, f"back for the time {number}", "north") for number in range(30)]
    text = shown(job(*history), is_terminal=True)
    assert f"{30 - SHOWN_INTERVENTIONS} earlier interventions" in text
    assert "back for the time 21\n" not in text
    assert "back for the time 22" in text
    assert "back for the time 29" in text


def test_the_history_of_a_job_is_read_from_its_meta() -> None:
    documents: list[object] = [KILLED.document(), {"kind": "of another release"}, "no document"]
    assert Job.of({**META, HISTORY_META: documents}).history == (KILLED,)
    assert Job.of({**META, HISTORY_META: "no list"}).history == ()


def test_an_intervention_cannot_control_the_terminal() -> None:
    sent = KILLED.document() | {"text": "killed\x1b[2J\nby", "site": "nor\x07th"}
    assert Intervention.of(sent).line == "nor th: killed [2J by"


def test_a_site_that_is_away_is_shown_with_the_reason() -> None:
    away = SiteProgress(rounds_done=3, away="no sign of life for 45 s")
    assert site_text(away) == "away: no sign of life for 45 s"


def test_no_site_of_a_finished_job_is_waiting() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    finished = Job.of({**META, "status": "FINISHED:COMPLETED"})
    sites = {
        "north": SiteProgress(rounds_done=3),
        "south": SiteProgress(phase=SitePhase.FAILED, error="ValueError: x"),
    }
    with job_display(console) as show:
        show(Snapshot(finished, JobProgress(sites=sites)))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "waiting" not in text
    assert "north  finished" in text
    assert "failed ValueError: x" in text


def test_the_time_for_which_a_site_is_away_is_not_a_new_line() -> None:
    console = Console(file=io.StringIO(), width=100)
    with job_display(console) as show:
        for seconds in (40, 45, 50):
            site = SiteProgress(away=f"no sign of life for {seconds} s")
            show(Snapshot(job(), JobProgress(sites={"north": site})))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("north") == 1


def summary(progress: JobProgress, *, is_terminal: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=100, color_system=None)
    print_summary(console, Snapshot(job(), progress))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_job_ends_with_its_metrics_and_its_best_model() -> None:
    site = SiteProgress(rounds_done=5, metrics={"train_loss": 0.25, "accuracy": 0.5})
    progress = JobProgress(
        round=5,
        rounds=5,
        sites={"south": SiteProgress(), "north": site},
        metrics={"test_accuracy": 0.75},
        best=BestModel(round=4, metric="accuracy", value=0.625),
    )
    assert summary(progress) == [
        "final metrics:",
        "  server: test_accuracy 0.75",
        "  north: accuracy 0.5, train_loss 0.25",
        "best model: after round 4 (accuracy 0.625)",
    ]
    assert "north" not in " ".join(summary(progress, is_terminal=True)), "the table shows it"
    assert summary(JobProgress()) == []


def test_rounds_count_from_one_to_the_total() -> None:
    assert round_text(JobProgress(round=1, rounds=10)) == "round 1 of 10"
    assert round_text(JobProgress(round=1)) == "round 1"


class _Server:
    """NVFlare's session with a server that is away for some seconds, and the clock of tenacity."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, back: float) -> None:
        self.now, self.back = 0.0, back
        monkeypatch.setattr("tenacity.time.monotonic", lambda: self.now)
        monkeypatch.setattr("tenacity.nap.time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def get_job_meta(self, job_id: str) -> dict[str, Any]:
        if 0.0 < self.now < self.back:
            raise ServerUnreachable("the server did not accept the login")
        return META

    def abort_job(self, job_id: str) -> None:
        raise InternalError(f"server internal error: Job {job_id} is not running.")

    def submit_job(self, folder: str, submit_token: str) -> str:
        raise InternalError("server internal error: No space left on device")

    def close(self) -> None:
        pass


def watching(server: _Server) -> tuple[AdminSession, list[str]]:
    told: list[str] = []
    kit: Any = type("Kit", (), {"address": "server:8002", "user": "lead@example.org"})
    session = AdminSession(kit, lambda: server)
    session.wait_for_server(3600.0, told.append)
    server.now = 1.0
    return session, told


def test_a_watched_server_may_be_away_for_minutes_and_the_user_reads_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, told = watching(_Server(monkeypatch, back=600.0))
    assert session.job("1").name == "probe"
    assert told == ["the server does not answer; trying again", "the server answers again"]


def test_a_lost_message_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    session, told = watching(_Server(monkeypatch, back=1.0 + requests.NOTICE_SECONDS))
    assert session.job("1").name == "probe"
    assert told == []


def test_a_timeout_also_ends_the_wait_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = _Server(monkeypatch, back=600.0)
    session, _ = watching(server)
    with pytest.raises(Failed, match="lost the connection to the server at server:8002"):
        session.job("1", timeout=30.0)
    assert server.now < 40.0


def test_an_abort_of_a_job_without_a_process_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = watching(_Server(monkeypatch, back=0.0))
    with pytest.raises(Failed, match=r"the job 1 has no process on the server.*flarefleet watch 1"):
        session.abort("1")


def test_a_request_that_the_server_could_not_do_is_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = watching(_Server(monkeypatch, back=0.0))

    with pytest.raises(requests.ServerFailed, match=r"the server at server:8002 failed: .*No space left"):
        session.submit(Path("job"), token="")

"""A site that is away from jobs with and without a quorum, and one that only seems to be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.session import AdminKit, open_session
from deploy.session.session import COMPLETED, AdminSession, Job
from fl_app.survival.limits import LATE_SECONDS
from fl_app.telemetry.job_progress import JobProgress
from tests.federation.federation import ADMIN, SERVER, Federation, write_project
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

ROUNDS, LATE_ROUNDS, FROZEN = 60, 40, "site-3"
HOLDS_INTERPRETER = Path(__file__).with_name("holds_interpreter.py")
HELD_SECONDS = int(LATE_SECONDS) + 10


@dataclass
class Seen:
    """What a user sees while all processes of a site are frozen, and when they go on."""

    rounds_before: int = 0
    frozen: JobProgress = field(default_factory=JobProgress)
    """The progress of the job with a quorum once it goes on without the site."""
    metric: float | None = None
    """`nvflare_registered` of the site at that time."""
    submission: str = ""
    """The error of `submit` for all sites at that time."""
    submission_seconds: float = 0.0
    quorum_job: Job | None = None
    away: set[str] = field(default_factory=set)
    """Why sites of the other job, whose script holds the interpreter, were called away."""
    held_job: Job | None = None
    late_job: Job | None = None
    """A job with a quorum that started while the site was away."""
    rounds: dict[str, int] = field(default_factory=dict)
    """Rounds that the site had answered in the end, by job."""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    made = Federation(write_project(tmp_path_factory.mktemp("quorum"), sites=3, name="quorum").parent)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def seen(federation: Federation) -> Seen:
    found = Seen()
    quorum = federation.submit("probe", rounds=ROUNDS, seconds=1, quorum=2, quorum_grace=2)
    held = federation.run(
        "submit", "numpy-fedavg", "--detach", "--site", "site-1", "--site", "site-2",
        "--set", "rounds=1", "--set", "model=[0, 0]", "--set", f"train_script={HOLDS_INTERPRETER}",
        "--set", f"train_args={HELD_SECONDS}",
    ).stdout.strip()  # fmt: skip
    with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
        eventually(lambda: _round(session, quorum) >= 3, 120, "the job is in round 3")
        site = [*federation.job_processes(FROZEN), federation.parent(FROZEN)]
        for process in site:
            process.suspend()
        try:
            found.rounds_before = _round(session, quorum)
            eventually(lambda: _without_site(session, quorum, held, found), 120, "the site is left out")
            found.metric = federation.metric(SERVER, "nvflare_registered", site=FROZEN)
            started = time.monotonic()
            found.submission = federation.flarefleet("submit", "probe", "--timeout", "20").stderr
            found.submission_seconds = time.monotonic() - started
            late = federation.submit("probe", rounds=LATE_ROUNDS, seconds=1, quorum=2, quorum_grace=2)
            eventually(lambda: _round(session, late) >= 1, 60, "a job starts without the site")
        finally:
            for process in site:
                process.resume()
        for job in session.jobs():
            if job.id not in (quorum, held, late) and not job.is_finished:
                session.abort(job.id)
        eventually(lambda: _finished(session, held, found.away), 120, "the held job has ended")
        found.held_job = session.job(held)

        for job_id in (quorum, late):
            eventually(lambda job=job_id: _ended(session, job, found.rounds), 240, f"{job_id} has ended")
        found.quorum_job, found.late_job = session.job(quorum), session.job(late)
    return found


def _round(session: AdminSession, job_id: str) -> int:
    progress = session.progress(job_id)
    return (progress.round or 0) if progress else 0


def _ended(session: AdminSession, job_id: str, rounds: dict[str, int]) -> bool:
    if (progress := session.progress(job_id)) is not None and FROZEN in progress.sites:
        rounds[job_id] = progress.sites[FROZEN].rounds_done
    return session.job(job_id).is_finished


def _without_site(session: AdminSession, quorum: str, held: str, found: Seen) -> bool:
    _finished(session, held, found.away)
    progress = session.progress(quorum)
    if progress is not None:
        found.frozen = progress
    return "no sign of life" in found.frozen.sites.get(FROZEN, _NOBODY).away


_NOBODY = JobProgress.model_validate({"sites": {"x": {}}}).sites["x"]


def _finished(session: AdminSession, job_id: str, away: set[str]) -> bool:
    if (progress := session.progress(job_id)) is not None:
        away |= {site.away for site in progress.sites.values()}
    return session.job(job_id).is_finished


def test_rounds_go_on_without_a_site_that_is_away_and_it_is_named(seen: Seen) -> None:
    assert (seen.frozen.round or 0) > seen.rounds_before + 3
    assert "no sign of life for" in seen.frozen.sites[FROZEN].away
    assert seen.metric == 0


def test_a_submission_for_all_sites_names_the_missing_one_at_once(seen: Seen) -> None:
    assert FROZEN in seen.submission
    assert seen.submission_seconds < 30


def test_the_site_takes_part_again_and_the_result_names_the_rounds_that_it_missed(seen: Seen) -> None:
    job = seen.quorum_job
    assert job is not None
    assert job.status == COMPLETED
    (missing,) = [line for line in job.warnings if line.startswith(FROZEN) and "took no part" in line]
    assert missing.startswith(f"{FROZEN}, rounds ")
    assert seen.frozen.sites[FROZEN].rounds_done < seen.rounds[job.id] < ROUNDS


def test_a_site_joins_a_job_with_a_quorum_that_started_without_it(seen: Seen) -> None:
    job = seen.late_job
    assert job is not None
    assert job.status == COMPLETED
    assert any(line.startswith(FROZEN) and "took no part" in line for line in job.warnings)
    assert 0 < seen.rounds[job.id] < LATE_ROUNDS


def test_a_training_that_holds_the_interpreter_is_alive_while_its_parent_vouches(seen: Seen) -> None:
    assert seen.held_job is not None
    assert seen.held_job.status == COMPLETED
    assert seen.away <= {""}

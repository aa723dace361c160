"""The table of silent failures: what NVFlare alone does with each, and what the kit does, in one federation.

All jobs are submitted at once, and each row looks at its own: the guard's rows are NVFlare's own recipes with
nothing of the kit in them, the stock rows the same with the guard switched off. Where a stock row fails,
NVFlare has mended something.
"""

from __future__ import annotations

import importlib
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.errors import InputError
from deploy.session.failure import GUARD, explain
from deploy.session.session import COMPLETED, AdminSession
from deploy.session.submission import refuse_what_cannot_work
from fl_app.guard.component import JobGuard
from fl_app.jobs.export import ExportReply
from fl_app.telemetry.job_progress import SitePhase
from tests.federation import guarded_jobs
from tests.federation.federation import Federation, write_project
from tests.federation.guarded_table import Table
from tests.federation.silent_failures import FAILURES, NUMBERS, Elsewhere, Kit, Stock
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
FAILED = "FINISHED:EXECUTION_EXCEPTION"
SILENCE = 25.0
"""Seconds after which the test's own job gives up a site; sites give signs of life every 10."""

STOCK = {failure.what: failure.stock for failure in FAILURES if isinstance(failure.stock, Stock)}
KIT = [row for failure in FAILURES for row in failure.kit if isinstance(row, Kit)]
ENDED = [row for row in KIT if not row.job.startswith("refused-")]
REFUSED = [row for row in KIT if row.job.startswith("refused-")]
ELSEWHERE = {
    test
    for failure in FAILURES
    for row in (failure.stock, *failure.kit)
    if isinstance(row, Elsewhere)
    for test in row.tests
}
SOUND = [
    "good",
    "good-differences",
    "good-evaluation",
    "good-cyclic",
    "good-fedopt",
    "good-scaffold",
    "good-offloaded",
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Every job of the table, ended."""
    folder = tmp_path_factory.mktemp("guarded")
    for kind in ("good", "stock"):
        (folder / "seen" / kind).mkdir(parents=True)
    jobs = {
        **guarded_jobs.stock(folder / "jobs", folder / "seen" / "stock"),
        **guarded_jobs.guarded(folder / "jobs"),
        **guarded_jobs.sound(folder / "jobs", folder / "seen" / "good"),
    }
    (folder / "federation").mkdir()
    federation = Federation(write_project(folder / "federation", sites=guarded_jobs.SITES).parent)
    made = Table(federation, folder)
    try:
        federation.up()
        made.run(jobs, guarded_jobs.endless(folder / "jobs"))
        yield made
    finally:
        federation.down()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The jobs that are not submitted."""
    return guarded_jobs.refused(tmp_path_factory.mktemp("refused"))


def test_every_silent_failure_has_its_rows() -> None:
    assert {failure.number for failure in FAILURES} - {None} == set(NUMBERS)
    assert all(failure.kit for failure in FAILURES)


@pytest.mark.parametrize("row", sorted(ELSEWHERE))
def test_a_row_that_is_elsewhere_is_there(row: str) -> None:
    file, _, test = row.partition("::")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    assert callable(getattr(module, test))


@pytest.mark.parametrize("stock", STOCK.values(), ids=STOCK.keys())
def test_what_nvflare_alone_does(table: Table, stock: Stock) -> None:
    outcome = table.ended[stock.job]
    assert outcome.status == (stock.status or outcome.status), outcome.said
    stock.shown(table)


@pytest.mark.parametrize("row", ENDED, ids=lambda row: row.job)
def test_the_guard_ends_a_job_with_one_line_that_says_where_what_and_what_to_do(
    table: Table, row: Kit
) -> None:
    outcome = table.ended[row.job]
    assert outcome.status == FAILED, outcome.server_log[-3000:]
    assert list(outcome.said) == [GUARD]
    assert re.search(row.says, outcome.said[GUARD]), outcome.said[GUARD]
    assert "\n" not in outcome.said[GUARD]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.job)
def test_what_can_be_seen_before_is_refused_by_submit(folders: dict[str, Path], row: Kit) -> None:
    with pytest.raises(InputError) as refused:
        refuse_what_cannot_work(ExportReply(folder=folders[row.job]))
    (line,) = refused.value.messages
    assert re.search(row.says, line), line


@pytest.mark.parametrize("job", SOUND)
def test_a_sound_job_completes_and_the_guard_says_nothing(table: Table, job: str) -> None:
    outcome = table.ended[job]
    assert outcome.status == COMPLETED, outcome.said
    assert "[guard]" not in outcome.server_log
    assert "the guard fails at" not in outcome.server_log


def test_watching_a_job_that_the_guard_ended_shows_the_reason(table: Table) -> None:
    done = table.federation.flarefleet("watch", table.ended["nan"].id)
    assert done.returncode == 1
    assert "site-2, round 1, numpy_key: returned 4 numbers that are NaN or infinite" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_site_sees_how_much_the_others_count(table: Table) -> None:
    ours = table.seen("good")
    assert len(ours) == guarded_jobs.SITES
    for one in ours:
        assert "aggregation" in one["meta"]["metrics_aggregation_info"]
        assert "site_weights" not in json.dumps(one)


@pytest.mark.parametrize("job", ["hanging", "hanging-process"])
def test_nothing_is_left_of_a_training_that_hung(table: Table, job: str) -> None:
    job_id = table.ended[job].id
    eventually(lambda: not _processes_of(job_id), 60, f"no process of {job} is left")


def test_a_round_that_waits_for_a_lost_site_ends_with_its_name(table: Table, tmp_path: Path) -> None:
    lost = guarded_jobs.guarded_by(
        guarded_jobs.numpy_job("lost-site", "--case hanging --site site-2"), JobGuard(silence=SILENCE)
    )
    with table.session() as session:
        job_id = session.submit(guarded_jobs.export(lost, tmp_path), uuid.uuid4().hex)
        eventually(lambda: _at_work(session, job_id, "site-2"), 120, "site-2 trains")
        table.federation.kill("site-2")
        eventually(lambda: session.job(job_id).is_finished, 180, "the job has ended")
        said = {error.site: error.text for error in explain(session, session.job(job_id))}
    assert said.get(GUARD, said).startswith("site-2: not heard of for"), said


def _at_work(session: AdminSession, job_id: str, site: str) -> bool:
    progress = session.progress(job_id)
    return progress is not None and progress.sites[site].phase is SitePhase.TRAINING


def _processes_of(job_id: str) -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if job_id in " ".join(one.info["cmdline"] or ())]

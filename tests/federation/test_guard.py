"""The table of silent failures, in one federation: what NVFlare alone does with each, and what the kit does.

The jobs of the kit's rows are NVFlare's own recipes with nothing of the kit in them. Those of the stock rows
are the same with the guard disabled. They run on request (`make stock`): NVFlare is pinned, and their outcome
changes only with another release. A stock row that fails then means that NVFlare has fixed the failure.
"""

from __future__ import annotations

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
from deploy.session.submission import refuse_silent_failures
from fl_app.guard.component import JobGuard
from fl_app.jobs.export import ExportReply
from fl_app.telemetry.job_progress import SitePhase
from tests.federation import guarded_job_lists, guarded_jobs
from tests.federation.failure_rows import Kit, Stock, Warned, as_markdown
from tests.federation.federation import Federation, forking_jobs, write_project
from tests.federation.guarded_table import Table, all_jobs
from tests.federation.silent_failures import FAILURES
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.timeout(1200)]

FAILED = "FINISHED:EXECUTION_EXCEPTION"
HEARTBEAT_TIMEOUT = 25.0
"""Seconds after which the guard of a test's job gives up a site; sites send a heartbeat every 10 seconds."""
CORE = ("nan", "another-shape", "good")
"""The jobs of the tests that are not extended."""

STOCK = {failure.what: failure.stock for failure in FAILURES if isinstance(failure.stock, Stock)}
KIT = {row.job: row for failure in FAILURES for row in failure.kit if isinstance(row, Kit)}
WARNED = {failure.what: row for failure in FAILURES for row in failure.kit if isinstance(row, Warned)}
PAGE = "silent-failures.md"
"""File in the module's temporary folder: the table with the measured outcomes, for docs/guard.md."""
_HELLO = r"no site returns its number of steps|key metric accuracy: is not among"
POSSIBLE_WARNINGS = dict.fromkeys(("good-hello", "good-hello-evaluation"), _HELLO)
"""Regular expression of the warnings of a valid job; the others have none."""


def core_or_extended(job: str) -> object:
    return pytest.param(job, marks=() if job in CORE else pytest.mark.extended)


@pytest.fixture(scope="module")
def table(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rejected: dict[str, str]
) -> Iterator[Table]:
    """The jobs of the selected tests, ended: those of the core, also the other ones, also NVFlare's."""
    selected = [item for item in request.session.items if item.path == request.path]
    is_extended, with_stock = (
        any(item.get_closest_marker(mark) for item in selected) for mark in ("extended", "stock")
    )
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "federation").mkdir()
    federation = Federation(write_project(folder / "federation", sites=guarded_jobs.SITES).parent)
    made = Table(federation, folder)
    try:
        with forking_jobs():
            federation.up()
        made.run(all_jobs(stock=with_stock) if is_extended else CORE)
        if with_stock:
            (folder / PAGE).write_text(as_markdown(FAILURES, made, rejected), encoding="utf-8")
        yield made
    finally:
        federation.down()


@pytest.fixture(scope="module")
def rejected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The line that `submit` shows for each job that it rejects."""
    names = [job for job in KIT if job.startswith("rejected-")]
    lines = {}
    for name, folder in guarded_job_lists.write(names, tmp_path_factory.mktemp("rejected")).items():
        with pytest.raises(InputError) as error:
            refuse_silent_failures(ExportReply(folder=folder))
        (lines[name],) = error.value.messages
    return lines


@pytest.mark.extended
@pytest.mark.stock
@pytest.mark.parametrize("stock", STOCK.values(), ids=STOCK.keys())
def test_nvflare_alone_does_not_report_the_failure(table: Table, stock: Stock) -> None:
    outcome = table.ended[stock.job]
    assert outcome.status == (stock.status or outcome.status), outcome.reasons
    stock.evidence(table)


@pytest.mark.parametrize("job", [core_or_extended(job) for job in KIT if not job.startswith("rejected-")])
def test_the_guard_ends_the_job_with_one_line(table: Table, job: str) -> None:
    outcome = table.ended[job]
    assert outcome.status == FAILED, outcome.server_log[-3000:]
    source = KIT[job].source
    assert list(outcome.reasons) == [source]
    assert re.search(KIT[job].line, outcome.reasons[source]), outcome.reasons[source]
    assert source != GUARD or "\n" not in outcome.reasons[GUARD]


@pytest.mark.extended
@pytest.mark.parametrize("row", WARNED.values(), ids=WARNED.keys())
def test_the_guard_warns_and_the_job_completes(table: Table, row: Warned) -> None:
    outcome = table.ended[row.job]
    assert outcome.status == COMPLETED, outcome.reasons
    assert [line for line in outcome.warnings if re.search(row.line, line)], outcome.warnings


@pytest.mark.parametrize("job", [job for job in KIT if job.startswith("rejected-")])
def test_submit_rejects_a_job_with_a_silent_failure(rejected: dict[str, str], job: str) -> None:
    assert re.search(KIT[job].line, rejected[job]), rejected[job]


@pytest.mark.parametrize("job", [core_or_extended(job) for job in guarded_job_lists.VALID])
def test_a_valid_job_completes_and_the_guard_logs_no_error(table: Table, job: str) -> None:
    outcome = table.ended[job]
    assert outcome.status == COMPLETED, outcome.reasons
    assert "[guard]" not in outcome.server_log
    assert "the guard failed at" not in outcome.server_log
    possible = POSSIBLE_WARNINGS.get(job, "$^")
    assert [line for line in outcome.warnings if not re.search(possible, line)] == []


@pytest.mark.extended
def test_the_levels_of_a_job_reach_the_server(table: Table) -> None:
    outcome = table.ended["tolerated"]
    assert outcome.status == COMPLETED, outcome.reasons
    assert any("nothing was learned" in line for line in outcome.warnings), outcome.warnings


@pytest.mark.extended
def test_watch_jobs_and_the_results_show_warnings(table: Table, tmp_path: Path) -> None:
    outcome = table.ended["warned-model"]
    watched = table.federation.flarefleet("watch", outcome.id)
    assert watched.returncode == 0
    shown = " ".join((watched.stdout + watched.stderr).split())
    assert all(f"warning: {line}" in shown for line in outcome.warnings)

    listed = table.federation.flarefleet("jobs").stdout.splitlines()
    statuses = {job: line for line in listed for job in line.split()[1:2]}
    assert "FINISHED:COMPLETED (!)" in statuses["warned-model"]
    assert "(!)" not in statuses["good"]

    assert table.federation.flarefleet("fetch", outcome.id, str(tmp_path / "results")).returncode == 0
    document = json.loads((tmp_path / "results" / "warnings.json").read_text(encoding="utf-8"))
    assert [entry["line"] for entry in document] == list(outcome.warnings)


def test_watch_shows_the_reason_of_the_guard(table: Table) -> None:
    done = table.federation.flarefleet("watch", table.ended["nan"].id)
    assert done.returncode == 1
    assert "site-2, round 1, numpy_key: returned 4 numbers that are NaN or infinite" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_site_learns_the_weights_of_others(table: Table) -> None:
    seen = table.seen("good")
    assert len(seen) == guarded_jobs.SITES
    for message in seen:
        assert "aggregation" in message["meta"]["metrics_aggregation_info"]
        assert "site_weights" not in json.dumps(message)


@pytest.mark.extended
@pytest.mark.parametrize("job", ["hanging", "hanging-process"])
def test_a_training_that_hung_leaves_no_process(table: Table, job: str) -> None:
    job_id = table.ended[job].id
    eventually(lambda: not _processes_of(job_id), 60, f"no process of {job} is left")


@pytest.mark.extended
def test_a_round_that_waits_for_a_lost_site_fails_with_the_name_of_the_site(
    table: Table, tmp_path: Path
) -> None:
    lost = guarded_jobs.guarded_by(
        guarded_jobs.numpy_job("lost-site", "--faults hanging@site-2"),
        JobGuard(heartbeat_timeout=HEARTBEAT_TIMEOUT),
    )
    with table.session() as session:
        job_id = session.submit(guarded_jobs.export(lost, tmp_path), uuid.uuid4().hex)
        eventually(lambda: _is_training(session, job_id, "site-2"), 120, "site-2 trains")
        table.federation.lose("site-2")
        eventually(lambda: session.job(job_id).is_finished, 180, "the job has ended")
        reasons = {error.site: error.text for error in explain(session, session.job(job_id))}
    assert reasons.get(GUARD, reasons).startswith("site-2: no sign of life for"), reasons


def _is_training(session: AdminSession, job_id: str, site: str) -> bool:
    progress = session.progress(job_id)
    return progress is not None and progress.sites[site].phase is SitePhase.TRAINING


def _processes_of(job_id: str) -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if job_id in " ".join(one.info["cmdline"] or ())]

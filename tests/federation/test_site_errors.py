"""What a script, a filter or an executor does wrong at one site reaches the user, within seconds."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.session import AdminKit, open_session
from deploy.session.failure import explain
from deploy.session.session import COMPLETED, RUNNING, AdminSession, Job
from tests.federation import failing_jobs
from tests.federation.failing_jobs import FAILING, GOOD
from tests.federation.federation import ADMIN, Federation, forking_jobs, running
from tests.waiting import eventually

pytestmark = [pytest.mark.federation, pytest.mark.timeout(900)]

FAILED = ("FINISHED:EXECUTION_EXCEPTION", "FINISHED:ABNORMAL")
"""A job whose process at a site cannot start ends with either: NVFlare and the guard end it at once."""
CORE = ("script-missing-package", "script-exits-hard")
"""The jobs of the tests that are not extended."""
TIMEOUT = 420.0
"""Seconds for all jobs."""
KNOWN_SECONDS = 25.0
"""Seconds from a failure until `watch` shows it, on a busy machine; the promise is 10."""


@dataclass
class Outcome:
    """How a job ended, and when its failure was known."""

    id: str
    status: str
    errors: dict[str, str]
    end_seconds: float
    """Seconds from the failure to the end of the job."""
    known_seconds: float
    """Seconds from the failure until the progress of the job named it, or to its end."""


@dataclass
class Table:
    """Jobs on one federation."""

    federation: Federation
    folder: Path
    ended: dict[str, Outcome] = field(default_factory=dict)

    def session(self) -> AbstractContextManager[AdminSession]:
        return open_session(AdminKit.read(self.federation.runtime.admin_kit(ADMIN)))

    def run(self, names: Sequence[str]) -> None:
        """Submit all jobs, and wait until each has ended."""
        deadline = time.time() + TIMEOUT
        known: dict[str, float] = {}
        with self.session() as session:
            written = {name: failing_jobs.write(name, self.folder) for name in names}
            ids = {name: session.submit(job, uuid.uuid4().hex) for name, (job, _) in written.items()}
            while left := ids.keys() - self.ended.keys():
                assert time.time() < deadline, f"running after {TIMEOUT:.0f} s: {', '.join(sorted(left))}"
                jobs = {job.id: job for job in session.jobs()}
                for name in left:
                    job, mark = jobs[ids[name]], written[name][1]
                    if job.is_finished:
                        self.ended[name] = _outcome(session, job, mark, known.get(name))
                    elif name not in known and mark.exists() and _names_error(session, job):
                        known[name] = time.time()
                time.sleep(0.3)

    def __str__(self) -> str:
        """Return the figures of all jobs as a Markdown table."""
        return "\n".join(
            f"| {name} | {one.known_seconds:.1f} | {one.end_seconds:.1f} | "
            f"{one.errors.get('site-2', '').partition(chr(10))[0]} |"
            for name, one in self.ended.items()
        )


def _outcome(session: AdminSession, job: Job, mark: Path, known: float | None) -> Outcome:
    now = time.time()
    failed = mark.stat().st_mtime if mark.exists() else now
    errors = {error.site: error.text for error in explain(session, job)}
    return Outcome(job.id, job.status, errors, now - failed, (known or now) - failed)


def _names_error(session: AdminSession, job: Job) -> bool:
    progress = session.progress(job.id) if job.status == RUNNING else None
    return progress is not None and bool(progress.sites["site-2"].error)


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """The jobs of the selected tests, ended: all jobs, or those of the core."""
    selected = [item for item in request.session.items if item.path == request.path]
    is_extended = any(item.get_closest_marker("extended") for item in selected)
    folder = tmp_path_factory.mktemp("failing")
    (folder / "federation").mkdir()
    with forking_jobs(), running(folder / "federation", Federation, sites=2) as federation:
        made = Table(federation, folder)
        made.run((*FAILING, *GOOD) if is_extended else CORE)
        print(made)
        yield made


def core_or_extended(job: str) -> object:
    return pytest.param(job, marks=() if job in CORE else pytest.mark.extended)


@pytest.mark.parametrize("job", [core_or_extended(job) for job in FAILING])
def test_the_error_of_a_site_is_the_error_of_the_job(table: Table, job: str) -> None:
    outcome, expected = table.ended[job], FAILING[job]
    assert outcome.status in FAILED
    assert list(outcome.errors) == ["site-2"], outcome.errors
    assert re.search(expected.error, outcome.errors["site-2"]), outcome.errors["site-2"]
    assert outcome.known_seconds < KNOWN_SECONDS
    assert outcome.end_seconds < expected.end_seconds


@pytest.mark.extended
@pytest.mark.parametrize("job", GOOD)
def test_a_job_that_only_looks_as_if_it_failed_completes(table: Table, job: str) -> None:
    assert table.ended[job].status == COMPLETED, table.ended[job].errors


@pytest.mark.extended
def test_the_processes_of_an_aborted_job_are_no_error(table: Table) -> None:
    job, mark = failing_jobs.write(failing_jobs.ABORTED, table.folder)
    with table.session() as session:
        job_id = session.submit(job, uuid.uuid4().hex)
        eventually(mark.exists, 120, "site-2 sleeps")
        session.abort(job_id)
        eventually(lambda: session.job(job_id).is_finished, 120, "the job has ended")
        time.sleep(12)  # the site ends a process that does not exit within ten seconds
        assert "[site error]" not in session.server_log(job_id)
        assert all("process" not in error.text for error in explain(session, session.job(job_id)))


def test_watch_prints_the_exception_and_the_line_of_the_user(table: Table) -> None:
    done = table.federation.flarefleet("watch", table.ended["script-missing-package"].id)
    assert done.returncode == 1
    assert "site-2: ModuleNotFoundError: No module named 'medpy' (failing_client.py:" in done.stderr
    assert "import medpy" in done.stderr
    assert "no longer available" not in done.stderr
    assert "TIMEOUT" not in done.stderr


def test_the_errors_of_a_job_are_in_its_json_document(table: Table) -> None:
    done = table.federation.flarefleet("watch", table.ended["script-missing-package"].id, "--json")
    assert "ModuleNotFoundError" in json.loads(done.stdout)["errors"]["site-2"]

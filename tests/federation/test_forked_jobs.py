"""Job processes that the parents of a federation fork, beside job processes that start as usual."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from deploy.session import AdminKit, open_session
from deploy.session.session import COMPLETED
from tests.federation.federation import ADMIN, SERVER, Federation, forking_jobs, running
from tests.federation.guarded_jobs import export, numpy_job
from tests.processes import is_running
from tests.waiting import eventually

pytestmark = pytest.mark.federation

SITES = ("site-1", "site-2")
PARENTS = (SERVER, *SITES)
FORKED = "(forked)"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Start a server and two sites; after the tests, none of their processes is left."""
    folder = tmp_path_factory.mktemp("forked")
    with forking_jobs(), running(folder, Federation, sites=len(SITES), name="forked") as federation:
        yield federation
    assert federation.run_folder.processes() == []


@pytest.fixture
def starts(federation: Federation) -> Callable[[str], list[list[str]]]:
    """Return a function that finds, for each parent, the new lines of its log with a text."""
    begin = {name: len(federation.run_folder.log(name).read_text()) for name in PARENTS}

    def find(text: str) -> list[list[str]]:
        logs = [federation.run_folder.log(name).read_text()[begin[name] :] for name in PARENTS]
        return [[line for line in log.splitlines() if text in line] for log in logs]

    return find


def template(federation: Federation, name: str) -> psutil.Process | None:
    """Return the template of a parent's job processes."""
    children = filter(is_running, federation.parent(name).children())
    return next((one for one in children if "fl_app.launchers.template" in one.cmdline()), None)


def arrays_of(federation: Federation, job: Path, results: Path) -> dict[str, np.ndarray]:
    """Run a job to its end and return the arrays of its results by the names of their files."""
    job_id = federation.submit_folder(job)
    federation.wait_for_job(job_id, COMPLETED)
    results.mkdir()
    with open_session(AdminKit.read(federation.kit(ADMIN))) as session:
        session.download(job_id, results)
    arrays = {file.name: np.load(file) for file in results.rglob("*.npy")}
    assert arrays
    return arrays


def test_a_forked_job_has_the_result_of_a_job_in_new_processes(
    federation: Federation, starts: Callable[[str], list[list[str]]], tmp_path: Path
) -> None:
    job = export(numpy_job("trained", "--faults trained"), tmp_path)
    forked = arrays_of(federation, job, tmp_path / "forked")
    assert [len(lines) for lines in starts(FORKED)] == [1, 1, 1]
    (job / "app" / "custom" / "json.py").touch()
    new = arrays_of(federation, job, tmp_path / "new")
    assert [len(lines) for lines in starts("have names of loaded modules: json")] == [1, 1, 1]

    assert forked.keys() == new.keys()
    for name, value in forked.items():
        assert value.tobytes() == new[name].tobytes(), name


def test_forked_jobs_draw_different_random_numbers(
    federation: Federation, starts: Callable[[str], list[list[str]]], tmp_path: Path
) -> None:
    models = []
    for run in ("first", "second"):
        job = export(numpy_job(run, "--faults random"), tmp_path)
        models.append(arrays_of(federation, job, tmp_path / f"results-{run}"))
    assert [len(lines) for lines in starts(FORKED)] == [2, 2, 2]
    first, second = models
    assert not any(np.isclose(first[name], second[name]).any() for name in first)


def test_abort_ends_forked_job_processes_of_one_job_only(federation: Federation) -> None:
    kept, aborted = (federation.submit("probe", rounds=1000, seconds=1) for _ in range(2))

    def processes(job_id: str) -> list[psutil.Process]:
        found = [one for name in PARENTS for one in federation.job_processes(name)]
        return [one for one in found if is_running(one) and job_id in one.cmdline()]

    eventually(lambda: len(processes(kept)) == len(processes(aborted)) == 3, 60, "both jobs run")
    ending = processes(aborted)

    assert federation.flarefleet("abort", aborted).returncode == 0

    eventually(lambda: not any(map(is_running, ending)), 30, "the processes of the aborted job have ended")
    assert len(processes(kept)) == 3
    killed = template(federation, "site-1")
    assert killed is not None
    killed.kill()
    eventually(lambda: not killed.is_running(), what="the parent reaped its template")
    assert len(processes(kept)) == 3, "job processes do not depend on the template"
    assert federation.flarefleet("abort", kept).returncode == 0
    eventually(lambda: not processes(kept), 30, "the processes of the other job have ended")


def test_a_parent_replaces_a_killed_template(
    federation: Federation, starts: Callable[[str], list[list[str]]]
) -> None:
    for name in PARENTS:
        if killed := template(federation, name):
            killed.kill()
            eventually(lambda one=killed: not one.is_running(), what="the parent reaped its template")

    submitted = federation.flarefleet("submit", "fibonacci")

    assert submitted.returncode == 0, submitted.stderr
    assert [len(lines) for lines in starts(FORKED)] == [1, 1, 1]
    assert all(template(federation, name) for name in PARENTS)
    children = [one for name in PARENTS for one in federation.parent(name).children()]
    eventually(lambda: all(is_running(one) == one.is_running() for one in children), what="no zombie is left")

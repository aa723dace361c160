"""Run the examples on a federation, stock or the kit's, side by side.

`python -m tests.examples.running FOLDER EXAMPLE...` only exports them.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.session import AdminKit, open_session
from deploy.session.failure import explain
from deploy.session.session import AdminSession, Job
from fl_app.jobs.export import ExportRequest, export
from fl_app.jobs.registry import find
from tests.examples.results import results_of, results_of_site

SITES = ("site-1", "site-2")
FOLDER = Path(__file__).parent
TIMEOUT = 300.0
"""Seconds for all examples; four run at a time."""


@dataclass
class Outcome:
    """How a job ended."""

    id: str
    status: str
    seconds: float
    results: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def write(names: Iterable[str], into: Path) -> dict[str, Path]:
    """Export the examples, as `flarefleet submit` does in a process of its own for each."""
    job, folders = find(str(FOLDER)), {}
    for name in names:
        files = into / "files" / name
        files.mkdir(parents=True)
        parameters = {"example": name, "folder": str(files)}
        request = ExportRequest(parameters=parameters, sites=SITES, only_these=False, folder=into)
        folder = export(job, request).folder
        assert folder is not None
        folders[name] = folder
    return folders


def run(kit: Path, names: Iterable[str], folder: Path) -> dict[str, Outcome]:
    """Submit the examples with an administrator's kit, and wait until each has ended.

    Args:
        kit: startup kit of an administrator.
        names: examples.
        folder: empty folder for jobs and downloads.
    """
    folders = write(names, folder)
    with open_session(AdminKit.read(kit)) as session:
        return await_ends(session, submit(session, folders), folder)


def submit(session: AdminSession, jobs: Mapping[str, Path]) -> dict[str, str]:
    """Submit exported jobs, and return the id of each."""
    return {name: session.submit(job, uuid.uuid4().hex) for name, job in jobs.items()}


def await_ends(session: AdminSession, ids: dict[str, str], folder: Path) -> dict[str, Outcome]:
    """Wait for jobs, and download the results of each."""
    started, deadline = time.monotonic(), time.monotonic() + TIMEOUT
    ended: dict[str, Outcome] = {}
    while left := ids.keys() - ended.keys():
        assert time.monotonic() < deadline, f"running after {TIMEOUT:.0f} s: {', '.join(sorted(left))}"
        jobs = {job.id: job for job in session.jobs()}
        for name in sorted(left):
            if jobs[ids[name]].is_finished:
                ended[name] = _outcome(session, jobs[ids[name]], folder / "downloads" / name, started)
        time.sleep(0.3)
    return ended


def add_site_results(outcomes: Mapping[str, Outcome], workspaces: Mapping[str, Path]) -> None:
    """Add what only the sites have to the results.

    Args:
        outcomes: ended jobs.
        workspaces: workspace of each site.
    """
    for outcome in outcomes.values():
        for site, workspace in workspaces.items():
            found = results_of_site(workspace / outcome.id)
            outcome.results |= {f"{site}/{name}": content for name, content in found.items()}


def _outcome(session: AdminSession, job: Job, folder: Path, started: float) -> Outcome:
    seconds = time.monotonic() - started
    folder.mkdir(parents=True)
    session.download(job.id, folder)
    reasons = {error.site: error.text for error in explain(session, job)}
    return Outcome(job.id, job.status, round(seconds, 1), results_of(folder), reasons)


if __name__ == "__main__":
    write(sys.argv[2:], Path(sys.argv[1]))

"""All jobs of the table of silent failures on one federation, and their outcomes."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.session import AdminKit, open_session
from deploy.session.failure import explain
from deploy.session.session import RUNNING, AdminSession, Job
from tests.federation import guarded_job_lists as lists
from tests.federation.federation import ADMIN, Federation

TIMEOUT = 900.0
"""Seconds for all jobs; four run at a time."""
ENDLESS_FOR = 25.0
"""Seconds for which a job that never ends must run; with the guard the same job ends sooner."""


NEVER_STARTED = "stock-too-many-sites"
"""The endless job that is never started."""


@dataclass
class Outcome:
    """The final status of a job, or its status when it was aborted."""

    id: str
    status: str
    reasons: dict[str, str]
    """What `flarefleet watch` would show, by source."""
    server_log: str
    waits_for: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    """Seconds from its start to its end."""


@dataclass
class Table:
    """Jobs and their outcomes.

    Args:
        federation: a running federation.
        folder: empty folder for jobs and downloads.
    """

    federation: Federation
    folder: Path
    ended: dict[str, Outcome] = field(default_factory=dict)

    def session(self) -> Any:
        return open_session(AdminKit.read(self.federation.runtime.admin_kit(ADMIN)))

    def results(self, name: str) -> Path:
        """Download the results of a job once."""
        folder = self.folder / "downloads" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            with self.session() as session:
                session.download(self.ended[name].id, folder)
        return folder

    def file(self, name: str, file: str) -> Path:
        """Return a file of a job's results."""
        found = sorted(self.results(name).rglob(file))
        assert found, f"{name} has no {file}"
        return found[0]

    def seen(self, name: str) -> list[dict[str, Any]]:
        """Return what the sites of a job received after its first round."""
        files = sorted((self.folder / "data" / name).glob("*-1.json"))
        return [json.loads(file.read_text()) for file in files]

    def run(self, names: Collection[str]) -> None:
        """Submit all jobs, and wait until each has ended or is seen to be endless.

        The endless jobs come first: they need no processor while the others run.
        """
        ordered = sorted(names, key=lambda name: name not in lists.ENDLESS)
        folders = lists.write(ordered, self.folder)
        with self.session() as session:
            ids = {name: session.submit(folders[name], uuid.uuid4().hex) for name in ordered}
            running_since: dict[str, float] = {}
            deadline = time.monotonic() + TIMEOUT
            while left := ids.keys() - self.ended.keys():
                assert time.monotonic() < deadline, f"running after {TIMEOUT:.0f} s: {', '.join(left)}"
                jobs = {job.id: job for job in session.jobs()}
                for name in left:
                    self._record_outcome(session, name, jobs[ids[name]], running_since)
                time.sleep(1)

    def _record_outcome(
        self, session: AdminSession, name: str, job: Job, running_since: dict[str, float]
    ) -> None:
        if job.is_finished:
            reasons = {error.site: error.text for error in explain(session, job)}
            log, seconds = session.server_log(job.id), _seconds(job.duration)
            self.ended[name] = Outcome(
                job.id, job.status, reasons, log, warnings=job.warnings, seconds=seconds
            )
        elif name in lists.ENDLESS:
            if job.status == RUNNING:
                since = running_since.setdefault(name, time.monotonic())
                is_endless = time.monotonic() - since > ENDLESS_FOR
            else:
                is_endless = name == NEVER_STARTED and bool(job.waits_for)
            if is_endless:
                log = session.server_log(job.id) if job.status == RUNNING else ""
                self.ended[name] = Outcome(job.id, job.status, {}, log, job.waits_for)
                session.abort(job.id)


def all_jobs(*, stock: bool) -> Collection[str]:
    """Return every job that a table can run, with or without those of NVFlare alone."""
    kit = lists.GUARDED | lists.WARNED | lists.VALID
    return (kit | lists.STOCK | lists.ENDLESS) if stock else kit


def _seconds(duration: str) -> float:
    """Return the seconds of H:MM:SS.ffffff; 0 if a job never ran."""
    hours, minutes, seconds = duration.split(":") if duration else ("0", "0", "0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

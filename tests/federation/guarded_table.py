"""All jobs of the guard's table on one federation, and how they ended."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.session import AdminKit, open_session
from deploy.session.failure import explain
from deploy.session.session import RUNNING, AdminSession
from tests.federation.federation import ADMIN, Federation
from tests.waiting import eventually

WITHIN = 900.0
"""Seconds for all jobs; four run at a time."""
MAY_NEVER_END = {"stock-large-integer"}
"""NVFlare's server waits for its answer: for ever, or until it misses the process, as the clock has it."""
ENDLESS_FOR = 25.0
"""Seconds for which a job that never ends is seen to run; with the guard the same ends sooner."""


@dataclass
class Outcome:
    """How a job ended, or how it was when it was given up."""

    id: str
    status: str
    said: dict[str, str]
    """What `flarefleet watch` would show, by who says it."""
    server_log: str
    waits_for: str = ""


@dataclass
class Table:
    """All jobs and how they ended."""

    federation: Federation
    folder: Path
    """Below it, in seen/good and seen/stock: what the clients of two jobs received."""
    ended: dict[str, Outcome] = field(default_factory=dict)

    def session(self) -> Any:
        return open_session(AdminKit.read(self.federation.runtime.admin_kit(ADMIN)))

    def results(self, name: str) -> Path:
        """What the server kept of a job."""
        folder = self.folder / "downloads" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            with self.session() as session:
                session.download(self.ended[name].id, folder)
        return folder

    def file(self, name: str, file: str) -> Path:
        """A file of a job's results."""
        found = sorted(self.results(name).rglob(file))
        assert found, f"{name} has no {file}"
        return found[0]

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """What sites received after the first round."""
        files = sorted((self.folder / "seen" / kind).glob("*-1.json"))
        return [json.loads(file.read_text()) for file in files]

    def run(self, jobs: dict[str, Path], endless: dict[str, Path]) -> None:
        """Submit all of them, wait for those that end, and look for a while at those that do not."""
        with self.session() as session:
            waited_for = _submit(session, jobs)
            others = _submit(session, endless)
            self._wait(session, waited_for)
            _see_running(session, others)
            for name, job_id in {**waited_for, **others}.items():
                if name not in self.ended:
                    self._give_up(session, name, job_id)

    def _wait(self, session: AdminSession, running: dict[str, str]) -> None:
        deadline = time.monotonic() + WITHIN
        while left := running.keys() - self.ended.keys() - MAY_NEVER_END:
            assert time.monotonic() < deadline, f"not ended within {WITHIN:.0f} s: {', '.join(left)}"
            for name in running.keys() - self.ended.keys():
                job = session.job(running[name])
                if job.is_finished:
                    said = {error.site: error.text for error in explain(session, job)}
                    self.ended[name] = Outcome(job.id, job.status, said, session.server_log(job.id))
            time.sleep(0.5)

    def _give_up(self, session: AdminSession, name: str, job_id: str) -> None:
        job = session.job(job_id)
        log = session.server_log(job_id) if job.status == RUNNING else ""
        self.ended[name] = Outcome(job_id, job.status, {}, log, job.waits_for)
        session.abort(job_id)


def _submit(session: AdminSession, jobs: dict[str, Path]) -> dict[str, str]:
    return {name: session.submit(folder, uuid.uuid4().hex) for name, folder in jobs.items()}


def _see_running(session: AdminSession, jobs: dict[str, str]) -> None:
    """Until each that has begun has run for a while."""
    began = dict.fromkeys(jobs, 0.0)

    def long_enough(names: Iterable[str]) -> bool:
        for name in names:
            if not began[name] and session.job(jobs[name]).status == RUNNING:
                began[name] = time.monotonic()
        return all(began[name] and time.monotonic() - began[name] > ENDLESS_FOR for name in names)

    runs = [name for name in jobs if name != "stock-too-many-sites"]
    eventually(lambda: long_enough(runs), 180, "the jobs that never end run")

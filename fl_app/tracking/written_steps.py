"""The steps that a job has logged, so that a round that is trained again does not log its steps again.

A series may repeat its steps on purpose: a script that counts from 0 in each round, or that sets no step. So
a value is dropped only if its step was logged before the job was last interrupted, in a series that had not
repeated a step until then.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER
from fl_app.tracking.points import AnyPoint

_SCHEMA = """
PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 0; PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, life INTEGER);
CREATE TABLE IF NOT EXISTS steps (
    job TEXT, site TEXT, tag TEXT, step INTEGER, life INTEGER, PRIMARY KEY (job, site, tag, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS repeating (job TEXT, site TEXT, tag TEXT, UNIQUE (job, site, tag));
"""
_FIRST_LIFE = 1

_log = logging.getLogger(__name__)


class WrittenSteps:
    """The logged steps of all jobs, in an SQLite database. All methods are thread-safe.

    An error of the database is logged once: at worst, a step is shown twice.

    Args:
        folder: folder of the database; created if it does not exist. None keeps it in memory.

    Raises:
        sqlite3.Error, OSError: the database cannot be opened.
    """

    def __init__(self, folder: Path | None) -> None:
        file = ":memory:" if folder is None else str(_private_file(folder))
        self._lock = threading.Lock()
        self._has_failed = False
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def new(self, job_id: str, points: Sequence[AnyPoint]) -> list[AnyPoint]:
        """Return the points that were not logged before the last interruption; `record` all when stored."""
        found = list(points)
        with self._errors_logged():
            life = self._life(job_id)
            if life > _FIRST_LIFE:
                again: set[tuple[str, str, int]] = set()
                found = []
                for point in points:
                    key = point.site, point.tag, point.step
                    if key not in again and self._is_again(job_id, point, life):
                        again.add(key)  # the same step later in `points` is a repetition
                    else:
                        found.append(point)
        return found

    def record(self, job_id: str, points: Sequence[AnyPoint]) -> None:
        """Record points that were stored, and those that `new` dropped: their next repetition is kept."""
        with self._errors_logged(), self._database:
            life = self._life(job_id)
            self._database.execute("BEGIN")
            for point in points:
                series = job_id, point.site, point.tag
                if not self._database.execute(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, ?) ON CONFLICT (job, site, tag, step) "
                    "DO UPDATE SET life = excluded.life WHERE life < excluded.life",
                    (*series, point.step, life),
                ).rowcount:
                    self._database.execute("INSERT OR IGNORE INTO repeating VALUES (?, ?, ?)", series)

    def interrupted(self, job_id: str) -> None:
        """Record that a process of the job started again: it may train a round once more."""
        with self._errors_logged():
            life = self._life(job_id) + 1
            self._database.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (job_id, life))

    def forget(self, job_id: str) -> None:
        """Remove the steps of a job that has ended."""
        with self._errors_logged():
            self._database.execute("DELETE FROM steps WHERE job = ?", (job_id,))
            self._database.execute("DELETE FROM repeating WHERE job = ?", (job_id,))
            self._database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def close(self) -> None:
        """Close the database."""
        with self._errors_logged():
            self._database.close()

    def _life(self, job_id: str) -> int:
        found = self._database.execute("SELECT life FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return int(found[0]) if found else _FIRST_LIFE

    def _is_again(self, job_id: str, point: AnyPoint, life: int) -> bool:
        series = job_id, point.site, point.tag
        found = self._database.execute(
            "SELECT 1 FROM steps WHERE job = ? AND site = ? AND tag = ? AND step = ? AND life < ? "
            "AND NOT EXISTS (SELECT 1 FROM repeating WHERE job = ? AND site = ? AND tag = ?)",
            (*series, point.step, life, *series),
        )
        return found.fetchone() is not None

    @contextlib.contextmanager
    def _errors_logged(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                if not self._has_failed:
                    self._has_failed = True
                    _log.warning(
                        "Analytics: a round that is trained again may log its steps twice: %s", error
                    )


def _private_file(folder: Path) -> Path:
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    file = folder / "steps.sqlite3"
    file.touch(mode=PRIVATE_FILE)
    return file

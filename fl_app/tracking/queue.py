"""Queue of logged values on their way to MLflow and Weights & Biases, in an SQLite database.

The server's parent adds values. One sender process for each receiver (tracker) reads them, and records its
position after each batch: every value is sent at least once. A value is removed when all receivers have
passed it; a job, when it has ended and all its values have been sent.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER
from fl_app.tracking.points import AnyPoint, HistogramPoint, ImagePoint, parse_point

DATABASE = "queue.sqlite3"
MAX_BYTES = 2**30
"""Size of the database; further values are dropped and counted as failed."""
BUSY_TIMEOUT_SECONDS = 30.0
"""Time for which a process waits for another one's transaction."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, project TEXT, server TEXT, started REAL,
    status TEXT, queued INTEGER DEFAULT 0  -- number of the last point
);
CREATE TABLE IF NOT EXISTS points (  -- numbered from 1 for each job
    job INTEGER REFERENCES jobs ON DELETE CASCADE, number INTEGER, content TEXT, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receivers (
    name TEXT PRIMARY KEY, sent INTEGER DEFAULT 0, failed INTEGER DEFAULT 0, error TEXT DEFAULT '',
    heartbeat REAL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS positions (
    job INTEGER REFERENCES jobs ON DELETE CASCADE, receiver TEXT, position INTEGER, run TEXT, closed INTEGER,
    PRIMARY KEY (job, receiver)
);
CREATE VIEW IF NOT EXISTS deliveries AS
SELECT jobs.*, receivers.name AS receiver, COALESCE(position, 0) AS position, COALESCE(run, '') AS run,
    COALESCE(closed AND position = queued, 0) AS finished
FROM jobs CROSS JOIN receivers LEFT JOIN positions ON job = number AND receiver = receivers.name;
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueuedJob:
    """A job with queued values."""

    id: str
    name: str
    project: str
    server: str
    """Name of the server, which logged the values without a site."""
    started: float
    """Seconds since 1970."""
    status: str = ""
    """NVFlare's status of the job; "" until it ends."""


@dataclass(frozen=True)
class Delivery:
    """Progress of a receiver with a job."""

    job: QueuedJob
    position: int
    """Number of the last value that was sent or refused."""
    run: str
    """Name of the job's run at the receiver; "" before it is opened."""


@dataclass(frozen=True)
class ReceiverState:
    """State of a receiver over all jobs."""

    sent: int = 0
    failed: int = 0
    error: str = ""
    """Why the receiver accepts no values now."""
    heartbeat: float = 0.0
    """Time of the sender's last progress or error, in seconds since 1970."""


class TrackingQueue:
    """The queue, as seen by one process. All methods are thread-safe.

    Args:
        folder: folder of the database; created if it does not exist.
        receivers: names of the receivers. A value is removed when all of them have passed it.
        max_bytes: maximum size of the database.

    Raises:
        sqlite3.Error, OSError: the database cannot be opened.
    """

    def __init__(self, folder: Path, receivers: Iterable[str], max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.receivers = tuple(receivers)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._database = _open(folder)
        self._inode = (folder / DATABASE).stat().st_ino
        with self._transaction() as database:
            for name in self.receivers:
                database.execute("INSERT OR IGNORE INTO receivers (name) VALUES (?)", (name,))

    def check_file(self) -> None:
        """Check that the database is still the file that other processes open.

        Raises:
            OSError: it was deleted or replaced, so that a sender would not see the values of this process.
        """
        if (self.folder / DATABASE).stat().st_ino != self._inode:
            raise OSError(f"{self.folder / DATABASE} was replaced; restart the server")

    def add(self, job: QueuedJob, points: Iterable[AnyPoint]) -> int:
        """Queue values of a job; return how many were dropped because the queue is full.

        Images and histograms are ignored: they are only kept for TensorBoard.

        Raises:
            sqlite3.Error: the values cannot be written, for example because the disk is full.
        """
        contents = [
            point.model_dump_json() for point in points if not isinstance(point, ImagePoint | HistogramPoint)
        ]
        with self._transaction() as database:
            if self._used_bytes() + sum(map(len, contents)) > self._max_bytes:
                database.execute("UPDATE receivers SET failed = failed + ?", (len(contents),))
                return len(contents)
            database.execute(
                "INSERT OR IGNORE INTO jobs (id, name, project, server, started, status) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                astuple(job),
            )
            number, queued = database.execute(
                "UPDATE jobs SET queued = queued + ? WHERE id = ? RETURNING number, queued",
                (len(contents), job.id),
            ).fetchone()
            first = queued - len(contents) + 1
            database.executemany(
                "INSERT INTO points VALUES (?, ?, ?)",
                [(number, index, content) for index, content in enumerate(contents, first)],
            )
        return 0

    def end(self, job_id: str, status: str) -> None:
        """Record that a job has ended; its runs are closed when all its values have been sent."""
        with self._transaction() as database:
            database.execute("UPDATE jobs SET status = ? WHERE id = ? AND status = ''", (status, job_id))

    def running_jobs(self) -> list[str]:
        """Return the ids of the jobs whose end has not been recorded."""
        return [job_id for (job_id,) in self._query("SELECT id FROM jobs WHERE status = ''")]

    def backlog(self, receiver: str) -> int:
        """Return how many values a receiver has yet to send."""
        ((backlog,),) = self._query(
            "SELECT COALESCE(SUM(queued - position), 0) FROM deliveries WHERE receiver = ?", receiver
        )
        return int(backlog)

    def state(self, receiver: str) -> ReceiverState:
        """Return the state of a receiver."""
        (state,) = self._query(
            "SELECT sent, failed, error, heartbeat FROM receivers WHERE name = ?", receiver
        )
        return ReceiverState(*state)

    def unfinished(self, receiver: str) -> list[Delivery]:
        """Return the jobs that have values to send to a receiver, or a run to close; the oldest first."""
        found = self._query(
            "SELECT id, name, project, server, started, status, position, run FROM deliveries "
            "WHERE receiver = ? AND NOT finished ORDER BY started",
            receiver,
        )
        return [Delivery(QueuedJob(*row[:6]), *row[6:]) for row in found]

    def read(self, delivery: Delivery, limit: int) -> tuple[list[AnyPoint | None], int]:
        """Return up to `limit` values after the position of a delivery, and the new position.

        A value that this release cannot parse is None.
        """
        found = self._query(
            "SELECT points.number, content FROM points JOIN jobs ON jobs.number = job "
            "WHERE id = ? AND points.number > ? ORDER BY points.number LIMIT ?",
            *(delivery.job.id, delivery.position, limit),
        )
        return [parse_point(content) for _, content in found], found[-1][0] if found else delivery.position

    def record(self, receiver: str, delivery: Delivery, *, sent: int, failed: int, closed: bool) -> None:
        """Record the progress of a receiver.

        Args:
            receiver: name of the receiver.
            delivery: its new position.
            sent: number of values that the receiver accepted since the last position.
            failed: number of values that it refused since then.
            closed: whether the run was closed.
        """
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO positions SELECT number, ?, ?, ?, ? FROM jobs WHERE id = ?",
                (receiver, delivery.position, delivery.run, closed, delivery.job.id),
            )
            database.execute(
                "UPDATE receivers SET sent = sent + ?, failed = failed + ?, error = '', heartbeat = ? "
                "WHERE name = ?",
                (sent, failed, time.time(), receiver),
            )

    def record_error(self, receiver: str, error: str) -> None:
        """Record why a receiver accepts no values now."""
        with self._transaction() as database:
            database.execute(
                "UPDATE receivers SET error = ?, heartbeat = ? WHERE name = ?", (error, time.time(), receiver)
            )

    def remove_sent(self) -> None:
        """Remove the values that all receivers have passed, and the jobs that all have finished."""
        with self._transaction() as database:
            for number, position, finished in database.execute(
                "SELECT number, MIN(position), MIN(finished) FROM deliveries "
                "WHERE receiver IN (SELECT value FROM json_each(?)) GROUP BY number",
                (json.dumps(self.receivers),),
            ).fetchall():
                database.execute("DELETE FROM points WHERE job = ? AND number <= ?", (number, position))
                database.execute("DELETE FROM jobs WHERE number = ? AND ?", (number, finished))

    def _used_bytes(self) -> int:
        pages, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        return int(pages * size)

    def _query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(sql, arguments).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database


def _open(folder: Path) -> sqlite3.Connection:
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if any(folder.glob("*/job.json")):
        _log.warning("Tracking: the queue of an earlier release in %s (JOB/job.json) is not read", folder)
    file = folder / DATABASE
    file.touch(mode=PRIVATE_FILE)  # SQLite gives its further files the same mode
    database = sqlite3.connect(
        file, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
    )
    # synchronous=NORMAL syncs at checkpoints only. A killed process loses nothing. A power failure may lose
    # the last transactions; the database remains consistent. FULL would make each push wait for the disk.
    # auto_vacuum and journal_size_limit return the space of removed values to the volume.
    database.executescript(
        "PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 0;"
        "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;" + _SCHEMA
    )
    return database

"""Queue of logged values on their way to one receiver (MLflow or Weights & Biases), in an SQLite database.

The server's parent adds values. A sender process removes them when it has sent them: every value is sent at
least once. Each receiver has a database of its own, so that a slow one cannot fill another's.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_app.files import PRIVATE_FILE, PRIVATE_FOLDER
from fl_app.tracking.points import AnyPoint, HistogramPoint, ImagePoint, parse_point

MAX_BYTES = 2**30
"""Size of the values that wait for one receiver; further values are dropped and counted as failed."""
BUSY_TIMEOUT_SECONDS = 30.0
"""Time for which a process waits for another one's transaction."""

# A killed process loses nothing with synchronous=NORMAL. A power failure may lose the last transactions; the
# database remains consistent. FULL would make each push wait for the disk. auto_vacuum and journal_size_limit
# return the space of removed values to the volume.
_SCHEMA = """
PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 0;
PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, name TEXT, project TEXT, server TEXT, started REAL,
    status TEXT DEFAULT '', run TEXT DEFAULT '', position INTEGER DEFAULT 0,
    queued INTEGER DEFAULT 0,  -- number of the last point
    refused INTEGER DEFAULT 0, lost INTEGER DEFAULT 0  -- points that `add` has yet to return
);
CREATE TABLE IF NOT EXISTS points (  -- numbered from 1 for each job
    job INTEGER REFERENCES jobs ON DELETE CASCADE, number INTEGER, content TEXT, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS receiver (
    one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER DEFAULT 0, failed INTEGER DEFAULT 0,
    error TEXT DEFAULT '', heartbeat REAL DEFAULT 0
);
INSERT OR IGNORE INTO receiver (one) VALUES (1);
"""


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
    run: str = ""
    """Name of the job's run at the receiver; "" before it is opened."""
    position: int = 0
    """Number of the last value that was sent or refused."""


@dataclass(frozen=True)
class ReceiverState:
    """State of the receiver over all jobs."""

    sent: int
    failed: int
    error: str
    """Why the receiver accepts no values now."""
    heartbeat: float
    """Time of the sender's last progress or error, in seconds since 1970."""
    backlog: int
    """Number of values that it has yet to send."""


class TrackingQueue:
    """The queue of one receiver, as seen by one process. All methods are thread-safe.

    Args:
        folder: folder of the database; created if it does not exist.
        receiver: name of the receiver, and of the database.
        max_bytes: maximum size of the values that wait.

    Raises:
        sqlite3.Error, OSError: the database cannot be opened.
    """

    def __init__(self, folder: Path, receiver: str, max_bytes: int = MAX_BYTES) -> None:
        self.file = folder / f"{receiver}.sqlite3"
        self.receiver = receiver
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        self.file.touch(mode=PRIVATE_FILE)  # SQLite gives its further files the same mode
        self._database = sqlite3.connect(
            self.file, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._database.executescript(_SCHEMA)
        self._inode = self.file.stat().st_ino

    def check_file(self) -> None:
        """Check that the database is still the file that the sender opens.

        Raises:
            OSError: it was deleted or replaced, so that a sender would not see the values of this process.
        """
        if self.file.stat().st_ino != self._inode:
            raise OSError(f"{self.file} was replaced; restart the server")

    def add(self, job: QueuedJob, points: Iterable[AnyPoint]) -> int:
        """Queue values of a job; return how many of its values the receiver lost since the last call.

        Values of a run that the receiver refused are lost, but kept as long as there is space: see
        `retry_refused`. Images and histograms are ignored: they are only kept for TensorBoard.

        Raises:
            sqlite3.Error: the values cannot be written, for example because the disk is full.
        """
        contents = [
            point.model_dump_json() for point in points if not isinstance(point, ImagePoint | HistogramPoint)
        ]
        with self._transaction() as database:
            if contents:
                database.execute(
                    "INSERT OR IGNORE INTO jobs (id, name, project, server, started) VALUES (?, ?, ?, ?, ?)",
                    (job.id, job.name, job.project, job.server, job.started),
                )
            found = database.execute(
                "SELECT number, queued, refused, lost FROM jobs WHERE id = ?", (job.id,)
            ).fetchone()
            if found is None:
                return 0
            number, queued, is_refused, lost = found
            has_space = self._make_space(sum(map(len, contents)))
            if has_space:
                rows = [(number, index, content) for index, content in enumerate(contents, queued + 1)]
                database.executemany("INSERT INTO points VALUES (?, ?, ?)", rows)
                queued += len(contents)
            failed = len(contents) if is_refused or not has_space else 0
            database.execute("UPDATE receiver SET failed = failed + ?", (failed,))
            database.execute("UPDATE jobs SET queued = ?, lost = 0 WHERE number = ?", (queued, number))
        return int(lost + failed)

    def end(self, job_id: str, status: str) -> None:
        """Record that a job has ended; its run is closed when all its values have been sent."""
        self._change("UPDATE jobs SET status = ? WHERE id = ? AND status = ''", status, job_id)

    def running_jobs(self) -> list[str]:
        """Return the ids of the jobs whose end has not been recorded."""
        return [job_id for (job_id,) in self._query("SELECT id FROM jobs WHERE status = ''")]

    def state(self) -> ReceiverState:
        """Return the state of the receiver."""
        (state,) = self._query(
            "SELECT sent, failed, error, heartbeat, "
            "(SELECT COALESCE(SUM(queued - position), 0) FROM jobs WHERE NOT refused) FROM receiver"
        )
        return ReceiverState(*state)

    def unfinished(self) -> list[QueuedJob]:
        """Return the jobs that have values to send, or a run to close; the oldest first."""
        found = self._query(
            "SELECT id, name, project, server, started, status, run, position FROM jobs WHERE NOT refused "
            "ORDER BY started"
        )
        return [QueuedJob(*row) for row in found]

    def read(self, job: QueuedJob, limit: int) -> tuple[list[AnyPoint | None], int]:
        """Return up to `limit` values after the position of a job, and the new position.

        A value that this release cannot parse is None.
        """
        found = self._query(
            "SELECT points.number, content FROM points JOIN jobs ON jobs.number = job "
            "WHERE id = ? AND points.number > ? ORDER BY points.number LIMIT ?",
            *(job.id, job.position, limit),
        )
        return [parse_point(content) for _, content in found], found[-1][0] if found else job.position

    def record(self, job: QueuedJob, *, sent: int, failed: int, closed: bool) -> None:
        """Record the progress of the receiver, and remove the values that it has passed.

        Args:
            job: the job, with its new position and run.
            sent: number of values that the receiver accepted since the last position.
            failed: number of values that it refused since then.
            closed: whether the run was closed. The job is removed, unless it has logged a late value.
        """
        with self._transaction() as database:
            database.execute(
                "DELETE FROM points WHERE number <= ? AND job = (SELECT number FROM jobs WHERE id = ?)",
                (job.position, job.id),
            )
            database.execute(
                "UPDATE jobs SET position = ?, run = ?, lost = lost + ? WHERE id = ?",
                (job.position, job.run, failed, job.id),
            )
            database.execute("DELETE FROM jobs WHERE id = ? AND position = queued AND ?", (job.id, closed))
            database.execute(
                "UPDATE receiver SET sent = sent + ?, failed = failed + ?, error = '', heartbeat = ?",
                (sent, failed, time.time()),
            )

    def refuse(self, job_id: str) -> int:
        """Give up the run of a job, which the receiver refuses; return how many values were not sent.

        At least one value counts as lost: W&B may refuse values that its client has accepted.
        """
        with self._transaction() as database:
            ((left,),) = database.execute(
                "UPDATE jobs SET refused = 1, lost = lost + MAX(queued - position, 1) WHERE id = ? "
                "RETURNING queued - position",
                (job_id,),
            ).fetchall()
            failed = max(left, 1)
            database.execute("UPDATE receiver SET failed = failed + ?, heartbeat = ?", (failed, time.time()))
        return int(left)

    def retry_refused(self) -> None:
        """Send the kept values of refused runs again: the cause may have been repaired."""
        self._change("UPDATE jobs SET refused = 0")

    def record_error(self, error: str) -> None:
        """Record why the receiver accepts no values now."""
        self._change("UPDATE receiver SET error = ?, heartbeat = ?", error, time.time())

    def _make_space(self, size: int) -> bool:
        """Return whether `size` bytes fit; values that wait displace those of refused runs."""
        if self._used_bytes() + size > self._max_bytes:
            self._database.execute("DELETE FROM points WHERE job IN (SELECT number FROM jobs WHERE refused)")
            self._database.execute("UPDATE jobs SET position = queued WHERE refused")
        return self._used_bytes() + size <= self._max_bytes

    def _used_bytes(self) -> int:
        names = ("page_count", "freelist_count", "page_size")
        pages, free, size = (self._database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return int((pages - free) * size)

    def _query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(sql, arguments).fetchall()

    def _change(self, sql: str, *arguments: object) -> None:
        with self._transaction() as database:
            database.execute(sql, arguments)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database

"""Let a site that came back run its jobs again: NVFlare gives it a new token, which no running job knows."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nvflare.apis.job_def import Job

from fl_app.nvflare_internals.server_jobs import Participant, ServerJobs
from fl_app.nvflare_internals.site_jobs import SiteNotReadyError, end_job, named_sites, runs_job, start_job
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_status import StatusOfJob, ask_status
from fl_app.survival.liveness import liveness_of

POLL_SECONDS = 10.0
"""Time between two looks at heartbeats and answers of jobs."""
STUCK_SECONDS = 300.0
"""A site that has no task asks for one every few seconds, unless its process hangs."""
NEVER_ASKED_SECONDS = 1800.0
"""Limit for a process that has not asked since it, or the server's process of the job, was started.

It waits up to 600 s for the server's process, may load data in START_RUN, or trains since before the restart.
"""
MISSING_HEARTBEATS = 2
"""Heartbeats of a site without its job, before the job is started there again."""
FIRST_RETRY_SECONDS = 2.0
MAX_RETRY_SECONDS = 60.0
SERVER_RETRY_SECONDS = 1.0
"""Pause while the server's own process of the job starts: every site waits for it."""
_WORKERS = 4
SERVER = "server"
"""The server among the names of a deploy_map."""

RESTARTED = "its parent was started again"
LATE = "it was not there when the job started"
MISSING = "its job process was not running"
STUCK = "its job process asked for no task"

_log = logging.getLogger(__name__)


class _ServerStartsError(Exception):
    """The server's process of the job does not answer yet."""


@dataclass
class Membership:
    """A site in a job, as far as it needs attention."""

    last_sign: float = 0.0
    """Time of the last sign of life of the site that was looked at."""
    missing: int = 0
    """Heartbeats in a row that did not list the job."""
    reason: str = ""
    """Why it must start the job again; empty after it did."""
    noticed_at: float = 0.0
    """When this reason was noticed."""
    attempts: int = 0
    """Starts since the site last asked for a task."""
    retry_at: float = 0.0
    is_busy: bool = False
    joined_at: float | None = None
    """When the site was started again, until it has asked for a task."""
    stuck: int = 0
    """Starts because its process asked for no task; each doubles the time until the next."""

    def tried(self, now: float) -> None:
        """Wait before the next attempt, longer each time."""
        self.retry_at = now + min(FIRST_RETRY_SECONDS * 2**self.attempts, MAX_RETRY_SECONDS)
        self.attempts += 1


@dataclass
class Poll:
    """What is known about the sites and jobs at one time."""

    last_signs: Mapping[str, float]
    """Time of the last sign of life of each site."""
    vouched: Mapping[str, Collection[str]]
    """Sites whose last heartbeat lists a job, by job."""
    statuses: Mapping[str, StatusOfJob]
    """Answers of the server's processes of the jobs that answered."""
    now: float = 0.0
    """The time, on the clock of `Rejoin`."""


def reason_to_rejoin(
    job_id: str, participant: Participant, current: Participant, member: Membership, poll: Poll | None
) -> str:
    """Return why a registered site must start its part of a job again; empty if it need not.

    Args:
        job_id: the job.
        participant: the registration under which the site takes part.
        current: its current registration.
        member: what is known from earlier polls; it is updated.
        poll: a new poll, or None.
    """
    if current.token != participant.token:
        return RESTARTED if participant.token else LATE
    site = current.name
    last_sign = poll.last_signs.get(site, 0.0) if poll else 0.0
    if poll is None or last_sign <= member.last_sign:
        return ""
    member.last_sign = last_sign
    if site not in poll.vouched.get(job_id, ()):
        member.missing += 1
        return MISSING if member.missing >= MISSING_HEARTBEATS else ""
    member.missing = 0
    status = poll.statuses.get(job_id)
    return _reason_to_end(site, status, member, poll.now) if status else ""


def _reason_to_end(site: str, status: StatusOfJob, member: Membership, now: float) -> str:
    """Return why the job process of a site must be ended; empty if it need not."""
    idle, limit = status.idle.get(site, 0.0), NEVER_ASKED_SECONDS
    if member.joined_at is not None:  # the server's process of the job knows only the old process of the site
        idle = min(idle, now - member.joined_at - min(status.asked.values(), default=math.inf))
    elif site in status.asked:
        limit = STUCK_SECONDS
    return f"{STUCK} for {idle:.0f} s" if idle > limit * 2**member.stuck else ""


def late_sites(job: Job, participants: Collection[Participant]) -> list[Participant]:
    """Return the sites that a job with a quorum names and started without; their token is empty."""
    missing = named_sites(job) - {SERVER, *(one.name for one in participants)}
    return [Participant(name, "", {}) for name in sorted(missing)]


class Rejoin:
    """Watch the sites of all running jobs.

    Args:
        engine: NVFlare's engine of the server's parent.
        clock: monotonic clock, in seconds.
    """

    def __init__(self, engine: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._jobs = ServerJobs(engine)
        self._members: dict[tuple[str, str], Membership] = {}
        self._next_poll = clock() + POLL_SECONDS
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="survival-rejoin")

    def check(self) -> None:
        """Start jobs again at sites that need it, in the background."""
        participants = self._jobs.participants()
        poll = self._poll(participants)
        for job_id, sites in participants.items():
            if job := self._jobs.job(job_id):
                for participant in (*sites, *late_sites(job, sites)):
                    self._check_site(job, participant, poll)
        self._members = {key: member for key, member in self._members.items() if key[0] in participants}

    def close(self) -> None:
        """Start no further job."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _poll(self, participants: dict[str, tuple[Participant, ...]]) -> Poll | None:
        if self._clock() < self._next_poll or not participants:
            return None
        self._next_poll = self._clock() + POLL_SECONDS
        liveness = liveness_of(self._engine)
        vouched = {
            job: liveness.vouched(job, [one.name for one in participants[job]]) for job in participants
        }
        statuses = {job: status for job in participants if (status := ask_status(self._engine, job))}
        return Poll(liveness.last_signs(), vouched, statuses, self._clock())

    def _check_site(self, job: Job, participant: Participant, poll: Poll | None) -> None:
        current = self._jobs.registered(participant.name)
        member = self._members.setdefault((job.job_id, participant.name), Membership())
        if current is None or member.is_busy:
            return
        self._confirm(job, participant.name, member, poll)
        if self._clock() < member.retry_at:
            return
        reason = member.reason or reason_to_rejoin(job.job_id, participant, current, member, poll)
        is_over = not (member.joined_at is not None or self._jobs.awaits_outcome(job.job_id, current.name))
        if member.reason == "" and reason == MISSING and is_over:
            return
        if reason:
            # NVFlare would end the job as failed, since the site does not report how its old process ended.
            self._jobs.ignore_outcome(job.job_id, current.name)
            if not member.reason:
                member.reason, member.noticed_at = reason, self._clock()
            member.is_busy = True
            self._pool.submit(self._rejoin, job, participant, current, member)

    def _confirm(self, job: Job, site: str, member: Membership, poll: Poll | None) -> None:
        """Let the job depend on a site again that has asked for a task since it was started again."""
        status = poll.statuses.get(job.job_id) if poll else None
        asked = status.asked.get(site) if status else None
        if member.joined_at is not None and asked is not None and asked < self._clock() - member.joined_at:
            member.joined_at, member.attempts = None, 0
            self._jobs.await_outcome(job.job_id, site)

    def _rejoin(self, job: Job, participant: Participant, current: Participant, member: Membership) -> None:
        is_tried = True
        try:
            self._start(job, participant, current, member.reason)
        except _ServerStartsError:
            is_tried = False
        except SiteNotReadyError as error:
            _log.warning("job %s: %s cannot rejoin yet: %s", job.job_id, current.name, error)
        except Exception:  # one site must not keep the others from coming back
            _log.exception("job %s: %s cannot rejoin yet", job.job_id, current.name)
        else:
            seconds = self._clock() - member.noticed_at
            text = f"{member.reason}; it runs its part of the job again after {seconds:.1f} s"
            member.stuck += member.reason.startswith(STUCK)
            member.joined_at, member.missing, member.reason = self._clock(), 0, ""
            record(self._engine, job.job_id, Intervention(Kind.REJOINED, text, current.name))
        finally:
            member.retry_at = self._clock() + SERVER_RETRY_SECONDS
            if is_tried:
                member.tried(self._clock())
            member.is_busy = False

    def _start(self, job: Job, participant: Participant, current: Participant, reason: str) -> None:
        status = ask_status(self._engine, job.job_id)
        if status is None:
            raise _ServerStartsError
        if status.is_ending:
            raise SiteNotReadyError("the job is ending")
        if not runs_job(self._engine, job.job_id, current):
            start_job(self._engine, job, participant.token, current)
        elif participant.token != current.token or reason.startswith(STUCK):
            end_job(self._engine, job.job_id, current)
            raise SiteNotReadyError("its old job process is being ended")
        # otherwise the last attempt succeeded, but its reply was lost

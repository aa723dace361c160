"""Let a site that came back run its jobs again: NVFlare gives it a new token, which no running job knows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nvflare.apis.job_def import Job

from fl_app.contract import QUORUM_PROPERTY
from fl_app.guard.rule_table import CUSTOM_PROPS
from fl_app.nvflare_internals.server_jobs import Participant, ServerJobs, SiteNotReadyError
from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_status import StatusOfJob, ask_status
from fl_app.survival.liveness import liveness_of

POLL_SECONDS = 10.0
"""Time between two looks at heartbeats and answers of jobs."""
STUCK_SECONDS = 300.0
"""A site that has no task asks for one every few seconds, unless its process hangs."""
MISSING_HEARTBEATS = 2
"""Heartbeats of a site without its job, before the job is started there again."""
FIRST_RETRY_SECONDS = 2.0
MAX_RETRY_SECONDS = 60.0
_WORKERS = 4

RESTARTED = "its parent was started again"
LATE = "it was not there when the job started"
MISSING = "its job process was not running"
STUCK = "its job process asked for no task"

_log = logging.getLogger(__name__)


@dataclass
class Membership:
    """A site in a job, as far as it needs attention."""

    last_sign: float = 0.0
    """Time of the last sign of life of the site that was looked at."""
    missing: int = 0
    """Heartbeats in a row that did not list the job."""
    reason: str = ""
    """Why it must start the job again; empty after it did."""
    failures: int = 0
    retry_at: float = 0.0
    is_busy: bool = False
    is_joining: bool = False
    """Whether the site was started again and has not asked for a task since."""

    def failed(self, now: float) -> None:
        """Wait before the next attempt, longer each time."""
        self.retry_at = now + min(FIRST_RETRY_SECONDS * 2**self.failures, MAX_RETRY_SECONDS)
        self.failures += 1


@dataclass
class Poll:
    """What is known about the sites and jobs at one time."""

    last_signs: Mapping[str, float]
    """Time of the last sign of life of each site."""
    vouched: Mapping[str, Collection[str]]
    """Sites whose last heartbeat lists a job, by job."""
    statuses: Mapping[str, StatusOfJob]
    """Answers of the server's processes of the jobs that answered."""


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
    idle = status.idle.get(site, 0.0) if status else 0.0
    return f"{STUCK} for {idle:.0f} s" if idle > STUCK_SECONDS else ""


def takes_latecomers(meta: Mapping[str, Any]) -> bool:
    """Return whether a site may take part in a job that has started without it: the job has a quorum."""
    props = meta.get(CUSTOM_PROPS)
    return isinstance(props, Mapping) and props.get(QUORUM_PROPERTY) is True


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
        for job_id in participants:
            if (job := self._jobs.job(job_id)) and takes_latecomers(job.meta):
                participants[job_id] += self._jobs.absent(job, [one.name for one in participants[job_id]])
        for job_id, sites in participants.items():
            job = self._jobs.job(job_id)
            for participant in sites if job else ():
                self._check_site(job, participant, poll)
        running = {(job_id, one.name) for job_id, sites in participants.items() for one in sites}
        self._members = {key: member for key, member in self._members.items() if key in running}

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
        return Poll(liveness.last_signs(), vouched, statuses)

    def _check_site(self, job: Job, participant: Participant, poll: Poll | None) -> None:
        current = self._jobs.registered(participant.name)
        member = self._members.setdefault((job.job_id, participant.name), Membership())
        if current is None or member.is_busy:
            return
        self._confirm(job, participant.name, member, poll)
        if self._clock() < member.retry_at:
            return
        reason = member.reason or reason_to_rejoin(job.job_id, participant, current, member, poll)
        is_over = not (member.is_joining or self._jobs.awaits_outcome(job.job_id, current.name))
        if member.reason == "" and reason == MISSING and is_over:
            return
        if reason:
            # NVFlare would end the job as failed, since the site does not report how its old process ended.
            self._jobs.ignore_outcome(job.job_id, current.name)
            member.is_busy, member.reason = True, reason
            self._pool.submit(self._rejoin, job, participant, current, member)

    def _confirm(self, job: Job, site: str, member: Membership, poll: Poll | None) -> None:
        """Let the job depend on a site again that has asked for a task since it was started again."""
        status = poll.statuses.get(job.job_id) if poll else None
        if member.is_joining and status and status.idle.get(site, 0.0) < POLL_SECONDS and site in status.seen:
            member.is_joining, member.failures = False, 0
            self._jobs.await_outcome(job.job_id, site)

    def _rejoin(self, job: Job, participant: Participant, current: Participant, member: Membership) -> None:
        started = self._clock()
        try:
            self._start(job, participant, current, member.reason)
        except SiteNotReadyError as error:
            _log.warning("job %s: %s cannot rejoin yet: %s", job.job_id, current.name, error)
            member.failed(self._clock())
        except Exception:
            _log.exception("job %s: %s cannot rejoin yet", job.job_id, current.name)
            member.failed(self._clock())
        else:
            text = f"{member.reason}; it runs its part of the job again after {self._clock() - started:.1f} s"
            member.is_joining, member.missing, member.reason = True, 0, ""
            member.retry_at = self._clock() + POLL_SECONDS
            record(self._engine, job.job_id, Intervention(Kind.REJOINED, text, current.name))
        finally:
            member.is_busy = False

    def _start(self, job: Job, participant: Participant, current: Participant, reason: str) -> None:
        status = ask_status(self._engine, job.job_id)
        if status is None:
            raise SiteNotReadyError("the server's job process does not answer")
        if status.is_ending:
            raise SiteNotReadyError("the job is ending")
        running = self._jobs.running_at([current.name])
        if current.name not in running:
            raise SiteNotReadyError("it does not answer")
        if job.job_id not in running[current.name]:
            self._jobs.start_at(job, participant.token, current)
        elif participant.token != current.token or reason.startswith(STUCK):
            self._jobs.abort_at(job.job_id, current.name)
            raise SiteNotReadyError("its old job process is being ended")
        # otherwise the last attempt succeeded, but its reply was lost

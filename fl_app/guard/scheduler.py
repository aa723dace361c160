"""A job scheduler that reports which sites a job lacks.

NVFlare's own scheduler tries ten times within an hour, reports nothing, and then drops the job.
"""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ProcessType, SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job, JobMetaKey, RunStatus, get_job_meta_study
from nvflare.apis.job_def_manager_spec import JobDefManagerSpec
from nvflare.app_common.job_schedulers.job_scheduler import DefaultJobScheduler
from nvflare.security.study_registry import StudyRegistryService

from fl_app.files import write_atomically
from fl_app.guard.finding import MARK
from fl_app.guard.quorum import Quorum, Shortage, Sites, find_shortage, wait_limit_of
from fl_app.guard.timeouts import site_patience
from fl_app.survival.liveness import liveness_of

KNOWN_SITES = "sites-seen.json"
"""File in the server's workspace: every site that has ever registered, so that a restart forgets none."""
CHECK_INTERVAL = 2.0
"""Seconds between two checks of the queue while no site is registered: NVFlare does not check it then."""
RETRY_SECONDS = (2.0, 10.0)
"""Least and most seconds between two attempts to start a job that has its sites (NVFlare: 10 and 600)."""
LEAST_ATTEMPTS = 10
"""Least number of attempts to start a job that has its sites, also if jobs do not wait for sites."""
MISSING_SINCE = "flarefleet.missing_since"
"""Key of a job's meta: since when its sites are missing, in seconds since 1970; 0 while they are not."""
_HISTORY = JobMetaKey.SCHEDULE_HISTORY.value


class JobScheduler(DefaultJobScheduler):
    """Reject a job for more sites than have ever registered; delay a job for sites that have.

    A job waits as long as `deployment.guard.site_patience_seconds` or the job itself allows, counted from
    when its sites began to be missing or the server started, if that was later: sites need time to register
    after it. The job starts when its sites register. A site that gives no sign of life is missing, although
    NVFlare still lists it.

    Events: SUBMIT_JOB rejects a job, CLIENT_REGISTER_PROCESSED records a site, SYSTEM_START starts checks.

    Args:
        max_jobs: number of jobs that run at the same time.
        scheduling: further arguments of NVFlare's scheduler.
    """

    def __init__(self, max_jobs: int = 1, **scheduling: Any) -> None:
        least, most = RETRY_SECONDS
        attempts = max(LEAST_ATTEMPTS, int(site_patience() / most) + 1)  # as long as it may wait for sites
        arguments: dict[str, Any] = {
            "max_schedule_count": attempts,
            "min_schedule_interval": least,
            "max_schedule_interval": most,
            **scheduling,
        }
        # NVFlare doubles the interval for each attempt: a float overflows after 1024, a fraction never does.
        arguments["min_schedule_interval"] = Fraction(arguments["min_schedule_interval"])
        super().__init__(max_jobs=max_jobs, **arguments)
        self._started = time.time()
        self._known: frozenset[str] = frozenset()
        self._known_lock = threading.Lock()
        self._stopped = threading.Event()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle the events of the class; an error is logged, and NVFlare continues without the check."""
        super().handle_event(event_type, fl_ctx)
        try:
            if event_type == EventType.SUBMIT_JOB:
                self._check_submission(fl_ctx)
            elif event_type == EventType.CLIENT_REGISTER_PROCESSED:
                self._sites(fl_ctx)
            elif event_type == EventType.SYSTEM_START:
                self._start_checks(fl_ctx)
            elif event_type == EventType.SYSTEM_END:
                self._stopped.set()
        except Exception:
            self.log_exception(fl_ctx, f"{MARK} the check for missing sites failed at {event_type}")

    def schedule_job(
        self, job_manager: JobDefManagerSpec, job_candidates: list[Job], fl_ctx: FLContext
    ) -> tuple[Job | None, dict[str, Any] | None]:
        """Schedule one of the jobs that have their sites."""
        ready = self._jobs_with_quorum(job_manager, job_candidates, fl_ctx)
        scheduled: tuple[Job | None, dict[str, Any] | None] = super().schedule_job(job_manager, ready, fl_ctx)
        return scheduled

    def _start_checks(self, fl_ctx: FLContext) -> None:
        if fl_ctx.get_process_type() == ProcessType.SERVER_PARENT:
            threading.Thread(
                target=self._check_without_sites,
                args=(fl_ctx.get_engine(),),
                name="guard-missing-sites",
                daemon=True,
            ).start()

    def _check_submission(self, fl_ctx: FLContext) -> None:
        meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
        shortage = self._shortage(meta, fl_ctx)
        if shortage and shortage.is_permanent:
            reason = f"{MARK} {shortage.finding.line}"
            fl_ctx.set_prop(FLContextKey.JOB_BLOCK_REASON, reason, private=True, sticky=False)

    def _jobs_with_quorum(
        self, job_manager: JobDefManagerSpec, candidates: list[Job], fl_ctx: FLContext
    ) -> list[Job]:
        ready = []
        for job in candidates:
            try:
                shortage = self._shortage(job.meta, fl_ctx)
                if shortage is None:
                    self._end_wait(job, job_manager, fl_ctx)
                    ready.append(job)
                else:
                    self._keep_waiting(job, shortage, job_manager, fl_ctx)
            except Exception:
                self.log_exception(fl_ctx, f"{MARK} the check for missing sites failed for job {job.job_id}")
                ready.append(job)
        return ready

    def _keep_waiting(
        self, job: Job, shortage: Shortage, job_manager: JobDefManagerSpec, fl_ctx: FLContext
    ) -> None:
        """Record what the job waits for, and since when; drop the job after its wait limit."""
        missing_since = float(job.meta.get(MISSING_SINCE) or 0.0)
        if not missing_since:
            missing_since = job.meta[MISSING_SINCE] = time.time()
        self._record(job, shortage.finding.line, job_manager, fl_ctx)
        limit = wait_limit_of(job.meta)
        if limit is None:
            limit = 0.0 if shortage.is_permanent else site_patience()
        waited = time.time() - max(missing_since, self._started)
        if waited < limit:
            return
        reason = f"{shortage.finding.line} Dropped after {waited:.0f} s."
        self._record(job, reason, job_manager, fl_ctx)
        job_manager.set_status(job.job_id, RunStatus.FINISHED_CANT_SCHEDULE, fl_ctx)
        self.log_error(fl_ctx, f"{MARK} job {job.job_id}: {reason}", fire_event=False)

    def _record(self, job: Job, text: str, job_manager: JobDefManagerSpec, fl_ctx: FLContext) -> None:
        """Append a new text to the job's schedule_history, which all of NVFlare's tools show."""
        history = list(job.meta.get(_HISTORY) or ())
        if history and history[-1].endswith(f": {text}"):
            return
        now = datetime.now().astimezone()
        job.meta[_HISTORY] = [*history, f"{now:%Y-%m-%d %H:%M:%S}: {text}"]
        job_manager.refresh_meta(job, [_HISTORY, MISSING_SINCE], fl_ctx)

    def _end_wait(self, job: Job, job_manager: JobDefManagerSpec, fl_ctx: FLContext) -> None:
        """Record that the job has its sites."""
        if job.meta.get(MISSING_SINCE):
            job.meta[MISSING_SINCE] = 0.0
            job_manager.refresh_meta(job, [MISSING_SINCE], fl_ctx)

    def _shortage(self, meta: dict[str, Any], fl_ctx: FLContext) -> Shortage | None:
        sites = self._sites(fl_ctx)
        registry = StudyRegistryService.get_registry()
        enrolled = registry.get_sites(get_job_meta_study(meta)) if registry else None
        allowed = sites if enrolled is None else sites.restricted_to(enrolled)
        return find_shortage(Quorum.of(meta), allowed, waits=wait_limit_of(meta) is not None)

    def _sites(self, fl_ctx: FLContext) -> Sites:
        """Return the registered and the known sites; store a site that is new."""
        engine = fl_ctx.get_engine()
        liveness = liveness_of(engine)
        registered, seen = liveness.present(), liveness.last_signs().keys()
        with self._known_lock:
            file = Path(engine.get_workspace().get_root_dir(), KNOWN_SITES)
            self._known = self._known or _read(file)
            if not seen <= self._known:
                self._known |= seen
                write_atomically(file, json.dumps(sorted(self._known)).encode())
            return Sites(registered, self._known, liveness.late())

    def _check_without_sites(self, engine: Any) -> None:
        while not self._stopped.wait(CHECK_INTERVAL):
            try:
                if engine.get_clients():
                    continue
                with engine.new_context() as fl_ctx:
                    job_manager = engine.get_component(SystemComponents.JOB_MANAGER)
                    self._jobs_with_quorum(job_manager, job_manager.get_jobs_to_schedule(fl_ctx), fl_ctx)
            except Exception:
                self.logger.exception("%s the check of the waiting jobs failed", MARK)


def _read(file: Path) -> frozenset[str]:
    try:
        return frozenset(str(name) for name in json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()

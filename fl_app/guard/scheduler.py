"""NVFlare's job scheduler, which says at once what a job lacks: NVFlare's own tries ten times in an hour,
tells nobody, and then gives the job up in two words."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey, ProcessType, SystemComponents
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_def import Job, JobMetaKey, RunStatus, get_job_meta_study
from nvflare.apis.job_def_manager_spec import JobDefManagerSpec
from nvflare.app_common.job_schedulers.job_scheduler import DefaultJobScheduler
from nvflare.security.study_registry import StudyRegistryService

from fl_app.guard.finding import MARK
from fl_app.guard.quorum import Demand, Lack, Sites, lacking, patience_of
from fl_app.startup.settings import Settings

SITES_SEEN = "sites-seen.json"
"""In the server's workspace: every site that was registered once, so that a restart forgets none."""
LOOK_EVERY = 2.0
"""Seconds between two looks at what waits while no site is registered: NVFlare does not look then."""
_HISTORY = JobMetaKey.SCHEDULE_HISTORY.value


class JobScheduler(DefaultJobScheduler):
    """Refuses a job that needs more sites than have ever been here, and lets one wait for known sites that
    are away, for as long as FLARE_SITE_PATIENCE or the job itself says; it begins as soon as they are back.

    Events: SUBMIT_JOB refuses; CLIENT_REGISTER_PROCESSED remembers the site; SYSTEM_START begins to look.

    Args:
        max_jobs: how many jobs run at a time.
        scheduling: what else NVFlare's takes.
    """

    def __init__(self, max_jobs: int = 1, **scheduling: Any) -> None:
        super().__init__(max_jobs=max_jobs, **scheduling)
        self._seen: frozenset[str] = frozenset()
        self._seen_lock = threading.Lock()
        self._ended = threading.Event()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """See the class."""
        super().handle_event(event_type, fl_ctx)
        try:
            if event_type == EventType.SUBMIT_JOB:
                self._judge_submission(fl_ctx)
            elif event_type == EventType.CLIENT_REGISTER_PROCESSED:
                self._sites(fl_ctx)
            elif event_type == EventType.SYSTEM_START:
                self._begin(fl_ctx)
            elif event_type == EventType.SYSTEM_END:
                self._ended.set()
        except Exception:  # NVFlare goes on as it would alone
            self.log_exception(fl_ctx, f"{MARK} looking for what jobs lack went wrong at {event_type}")

    def schedule_job(
        self, job_manager: JobDefManagerSpec, job_candidates: list[Job], fl_ctx: FLContext
    ) -> tuple[Job | None, dict[str, Any] | None]:
        """NVFlare's, of those jobs that have enough sites."""
        ready = self._with_enough_sites(job_manager, job_candidates, fl_ctx)
        found: tuple[Job | None, dict[str, Any] | None] = super().schedule_job(job_manager, ready, fl_ctx)
        return found

    def _begin(self, fl_ctx: FLContext) -> None:
        if fl_ctx.get_process_type() == ProcessType.SERVER_PARENT:
            threading.Thread(
                target=self._look_alone, args=(fl_ctx.get_engine(),), name="guard-waiting", daemon=True
            ).start()

    def _judge_submission(self, fl_ctx: FLContext) -> None:
        meta = fl_ctx.get_prop(FLContextKey.JOB_META) or {}
        lack = self._lack(meta, fl_ctx)
        if lack and lack.hopeless:
            fl_ctx.set_prop(
                FLContextKey.JOB_BLOCK_REASON, f"{MARK} {lack.finding.line}", private=True, sticky=False
            )

    def _with_enough_sites(
        self, job_manager: JobDefManagerSpec, candidates: list[Job], fl_ctx: FLContext
    ) -> list[Job]:
        ready = []
        for job in candidates:
            try:
                lack = self._lack(job.meta, fl_ctx)
                if lack is None:
                    ready.append(job)
                else:
                    self._let_wait(job, lack, job_manager, fl_ctx)
            except Exception:
                self.log_exception(fl_ctx, f"{MARK} what job {job.job_id} lacks cannot be seen")
                ready.append(job)
        return ready

    def _let_wait(self, job: Job, lack: Lack, job_manager: JobDefManagerSpec, fl_ctx: FLContext) -> None:
        """Write down what it waits for, and end it when that has taken too long, or can never be."""
        self._note(job, lack.finding.line, job_manager, fl_ctx)
        own = patience_of(job.meta)
        patience = own if own is not None else 0.0 if lack.hopeless else _patience()
        waited = time.time() - float(job.meta.get(JobMetaKey.SUBMIT_TIME.value) or 0.0)
        if waited < patience:
            return
        reason = f"{lack.finding.line} Given up after {waited:.0f} s."
        self._note(job, reason, job_manager, fl_ctx)
        job_manager.set_status(job.job_id, RunStatus.FINISHED_CANT_SCHEDULE, fl_ctx)
        self.log_error(fl_ctx, f"{MARK} job {job.job_id}: {reason}", fire_event=False)

    def _note(self, job: Job, text: str, job_manager: JobDefManagerSpec, fl_ctx: FLContext) -> None:
        """Add to the job's schedule_history, which every tool shows, what is new."""
        history = list(job.meta.get(_HISTORY) or ())
        if history and history[-1].endswith(f": {text}"):
            return
        now = datetime.now().astimezone()
        job.meta[_HISTORY] = [*history, f"{now:%Y-%m-%d %H:%M:%S}: {text}"]
        job_manager.refresh_meta(job, [_HISTORY], fl_ctx)

    def _lack(self, meta: dict[str, Any], fl_ctx: FLContext) -> Lack | None:
        sites = self._sites(fl_ctx)
        registry = StudyRegistryService.get_registry()
        enrolled = registry.get_sites(get_job_meta_study(meta)) if registry else None
        allowed = sites if enrolled is None else sites.among(enrolled)
        return lacking(Demand.of(meta), allowed, waits=patience_of(meta) is not None)

    def _sites(self, fl_ctx: FLContext) -> Sites:
        """Who is registered now, and who ever was."""
        engine = fl_ctx.get_engine()
        registered = frozenset(client.name for client in engine.get_clients())
        with self._seen_lock:
            file = Path(engine.get_workspace().get_root_dir(), SITES_SEEN)
            self._seen = self._seen or _read(file)
            if not registered <= self._seen:
                self._seen |= registered
                _write(file, self._seen)
            return Sites(registered, self._seen)

    def _look_alone(self, engine: Any) -> None:
        """Look at what waits while no site is registered."""
        while not self._ended.wait(LOOK_EVERY):
            try:
                if engine.get_clients():
                    continue
                with engine.new_context() as fl_ctx:
                    job_manager = engine.get_component(SystemComponents.JOB_MANAGER)
                    waiting = job_manager.get_jobs_to_schedule(fl_ctx)
                    self._with_enough_sites(job_manager, waiting, fl_ctx)
            except Exception:
                self.logger.exception("%s the jobs that wait cannot be seen", MARK)


def _patience() -> float:
    return Settings.read(os.environ).site_patience


def _read(file: Path) -> frozenset[str]:
    try:
        return frozenset(str(name) for name in json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()


def _write(file: Path, names: frozenset[str]) -> None:
    beside = file.with_name(f"{file.name}.new")
    beside.write_text(json.dumps(sorted(names)), encoding="utf-8")
    beside.replace(file)

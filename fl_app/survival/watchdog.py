"""The watchdog of the server's parent: it repairs running jobs after a process was killed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import SystemComponents
from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.server_jobs import ServerJobs
from fl_app.survival.adopt import Adoption
from fl_app.survival.failures import SiteFailures
from fl_app.survival.parent_state import ParentState
from fl_app.survival.rejoin import Rejoin
from fl_app.survival.silent import SilentSites

TICK_SECONDS = 1.0
_READY_PAUSE_SECONDS = 0.1
"""NVFlare fires SYSTEM_START before the server has read its certificate."""

_log = logging.getLogger(__name__)


class Watchdog:
    """Adopt the jobs of the previous parent, then watch jobs and sites. Part of the server's parent.

    Events: SYSTEM_BOOTSTRAP lists the jobs to adopt as running, SYSTEM_START starts the thread, JOB_STARTED
    saves the participants, SYSTEM_END stops the thread.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._state: ParentState | None = None
        self._adoption: Adoption | None = None

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        engine = fl_ctx.get_engine()
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            self._state = ParentState(Path(engine.get_workspace().get_root_dir()))
            self._adoption = Adoption(engine, engine.get_component(SystemComponents.JOB_MANAGER))
            self._adoption.prepare(self._state.load(), is_first=not self._state.exists())
            SiteFailures(engine).install()
        elif event_type == EventType.SYSTEM_START:
            threading.Thread(target=self._run, args=(engine,), name="survival-watchdog", daemon=True).start()
        elif event_type == EventType.JOB_STARTED:
            self._save(engine)
        elif event_type == EventType.SYSTEM_END:
            self._stopped.set()

    def _save(self, engine: Any) -> None:
        assert self._state is not None
        self._state.save(ServerJobs(engine).participants())

    def _run(self, engine: Any) -> None:
        assert self._adoption is not None
        jobs = ServerJobs(engine)
        while not jobs.is_ready() and not self._stopped.wait(_READY_PAUSE_SECONDS):
            pass
        _attempt(self._adoption.finish)
        rejoin, silent = Rejoin(engine), SilentSites(engine)
        while not self._stopped.wait(TICK_SECONDS):
            for step in (lambda: self._save(engine), silent.check, rejoin.check):
                _attempt(step)
        rejoin.close()


def _attempt(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:  # one failure must not end the watch
        _log.exception("the watchdog failed; it tries again")

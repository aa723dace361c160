"""A thread that watches the sites of a job for those that are lost or stalled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from nvflare.apis.fl_component import FLComponent

from fl_app.guard.finding import Finding
from fl_app.guard.heartbeat import CHECK_INTERVAL, awaited_sites, find_lost_site
from fl_app.guard.site_errors import SiteErrors
from fl_app.guard.stalled import find_stalled_site, find_unanswered_task, forget_sends
from fl_app.guard.timeouts import Timeouts
from fl_app.nvflare_internals.guard import current_controller
from fl_app.survival.job_liveness import JobLiveness, job_liveness_of
from fl_app.survival.no_restart import find_restarted_site
from fl_app.survival.start_over import start_over
from fl_app.survival.waiting import Waiting


class SiteWatch:
    """Watch the sites of one job on the server.

    Args:
        timeouts: how long to wait for a site.
        errors: errors that sites sent.
        report: called with each finding and a context of the engine.
        component: component that logs an error of the watch itself; the watch continues.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        errors: SiteErrors,
        report: Callable[[Finding, Any], object],
        component: FLComponent,
    ) -> None:
        self.liveness = JobLiveness()
        self._waiting = Waiting()
        self._timeouts = timeouts
        self._errors = errors
        self._report = report
        self._component = component
        self._failures: set[str] = set()
        self._last_metric: dict[str, float] = {}
        self._closed = threading.Event()

    def start(self, engine: Any) -> None:
        """Start the thread."""
        threading.Thread(target=self._watch, args=(engine,), name="guard-timeouts", daemon=True).start()

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()

    def expect(self, sites: Iterable[str], engine: Any) -> None:
        """Start to wait for these sites; only they are watched."""
        names = list(sites)
        self.liveness = job_liveness_of(engine)
        self.liveness.expect(names)
        self._last_metric |= dict.fromkeys(names, 0.0)

    def received(self, site: str, life: str, fl_ctx: Any) -> None:
        """Record a heartbeat; the first one of another job process ends a run that cannot go on with it.

        Args:
            site: name of the site.
            life: name of its job process.
            fl_ctx: context of the message.
        """
        if not self.liveness.received(site, life):
            return
        controller = current_controller(fl_ctx)
        self._errors.is_back(site)
        forget_sends(controller, site)
        finding = find_restarted_site(controller, site)
        if finding and not start_over(finding, fl_ctx, self._component.system_panic):
            self._report(finding, fl_ctx)

    def logged(self, site: str) -> None:
        """Record that a site logged a metric; names that are not of the job are ignored."""
        if site in self._last_metric:
            self._last_metric[site] = time.time()

    def _watch(self, engine: Any) -> None:
        while not self._closed.wait(CHECK_INTERVAL):
            self.liveness.refresh(engine)
            with engine.new_context() as fl_ctx:
                try:
                    controller = current_controller(fl_ctx)
                    for finding in self._find(controller):
                        self._report(finding, fl_ctx)
                    late = self.liveness.late()
                    self._waiting.update(late, awaited_sites(controller, late), fl_ctx)
                except Exception as error:  # an error here must not end the watch
                    self._failed(error, fl_ctx)

    def _failed(self, error: Exception, fl_ctx: Any) -> None:
        """Log an error of the watch once for each kind."""
        if (kind := type(error).__name__) not in self._failures:
            self._failures.add(kind)
            self._component.log_warning(
                fl_ctx,
                f"the guard failed to check for lost sites; it tries again: {kind}: {error}",
                fire_event=False,
            )

    def _find(self, controller: Any) -> list[Finding]:
        """Return the findings of all checks: the level of the first may be a warning."""
        given_up = self.liveness.silent(self._timeouts.heartbeat)
        found = (
            self._errors.find_gone_site(controller),
            find_unanswered_task(controller),
            find_lost_site(controller, given_up),
            find_stalled_site(controller, dict(self._last_metric), self._timeouts.task, time.time()),
        )
        return [finding for finding in found if finding is not None]

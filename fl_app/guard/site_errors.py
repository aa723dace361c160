"""Errors of sites on the server: they stand in the job's log, and a site that is gone may end the job."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from fl_app.guard.finding import Finding
from fl_app.guard.heartbeat import blocking_sites
from fl_app.guard.site_error import SITE_ERROR_MARK, SITE_ERROR_TOPIC, SiteError
from fl_app.guard.task import round_of
from fl_app.nvflare_internals.guard import current_controller, open_tasks_without_timeout
from fl_app.telemetry.job_progress import SITE_ERROR_EVENT

MAX_ERRORS = 5
"""Errors of one site that are kept in the log of a job."""


class SiteErrors:
    """The errors that the sites of one job sent.

    An error alone does not end the job: a workflow of NVFlare may accept that some sites fail. If the
    workflow ends the job, the log contains the cause. A site that is gone ends the job if a task cannot
    complete without it. A site whose job process was killed is not gone: survival starts it again.

    Args:
        component: component that logs.
        report: receives a finding that ends the job.
    """

    def __init__(self, component: FLComponent, report: Callable[[Finding, FLContext], object]) -> None:
        self._component = component
        self._report = report
        self._lock = threading.Lock()
        self._received: Counter[str] = Counter()
        self._gone: dict[str, SiteError] = {}
        self._first: dict[str, SiteError] = {}

    def start(self, engine: Any) -> None:
        """Accept the messages of sites."""
        engine.register_aux_message_handler(topic=SITE_ERROR_TOPIC, message_handle_func=self._receive)

    def find_gone_site(self, controller: Any) -> Finding | None:
        """Return a finding if a task without a timeout cannot complete because a site is gone.

        Args:
            controller: NVFlare's controller of the running workflow, or None.
        """
        with self._lock:
            gone = dict(self._gone)
        for task in open_tasks_without_timeout(controller) if gone else ():
            for site in blocking_sites(task, gone.keys())[:1]:
                return Finding(
                    f"{gone[site].line}: the task '{task.name}' cannot complete",
                    "Fix the cause, then submit the job again.",
                    site=site,
                    round=round_of(task.data),
                    rule="process_ended",
                )
        return None

    def is_back(self, site: str) -> None:
        """Record that another job process of the site runs."""
        with self._lock:
            self._gone.pop(site, None)

    def tolerated(self) -> Iterator[Finding]:
        """Yield the errors of sites for the end of a workflow that completed in spite of them."""
        with self._lock:
            errors = dict(self._first)
        for site, error in errors.items():
            yield Finding(
                f"{error.line}: the job completed without its result",
                "Fix the cause, and submit the job again if it needs this site.",
                site=site,
                round=error.round,
                rule="site_error",
            )

    def _receive(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        peer = fl_ctx.get_peer_context()
        site = str(peer.get_identity_name()) if peer is not None else ""
        controller = current_controller(fl_ctx)
        error = _in_its_task(SiteError.of(request, site), controller)
        with self._lock:
            self._received[site] += not error.is_provisional
            is_new = self._received[site] <= MAX_ERRORS
            if not error.is_provisional:
                self._first.setdefault(site, error)
            if error.ends_site:
                self._gone.setdefault(site, error)
        if is_new and site:
            self._log(error, fl_ctx)
        if finding := self.find_gone_site(controller):
            self._report(finding, fl_ctx)
        return make_reply(ReturnCode.OK)

    def _log(self, error: SiteError, fl_ctx: FLContext) -> None:
        if not error.is_provisional:
            document = json.dumps(asdict(error), ensure_ascii=False)
            self._component.log_error(fl_ctx, f"{SITE_ERROR_MARK} {document}", fire_event=False)
        fl_ctx.set_prop(FLContextKey.EVENT_DATA, (error.site, error.line), private=True, sticky=False)
        fl_ctx.get_engine().fire_event(SITE_ERROR_EVENT, fl_ctx)


def _in_its_task(error: SiteError, controller: Any) -> SiteError:
    """Add the task that the site works on, which its parent does not know, to an error without one."""
    if error.task or controller is None:
        return error
    for task in open_tasks_without_timeout(controller):
        for one in list(task.client_tasks):
            if one.client.name == error.site and one.result_received_time is None:
                what = f"{error.what} in the middle of the task '{task.name}'"
                return replace(error, what=what, task=task.name, round=round_of(task.data))
    return error

"""The guard as a component of NVFlare; each startup kit and each recipe of Flarefleet add it to a job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.widgets.widget import Widget

from fl_app.guard.context import job_meta
from fl_app.guard.receivers import restore_mlflow_timeouts, shorten_mlflow_timeouts
from fl_app.guard.timeouts import Timeouts, task_timeout
from fl_app.nvflare_internals.guard import job_components
from fl_app.survival.limits import site_wait
from fl_app.survival.resumable import Resumable, ResumableParts

if TYPE_CHECKING:
    from fl_app.guard.server import ServerGuard
    from fl_app.guard.site import SiteGuard

_STARTS = (EventType.ABOUT_TO_START_RUN, EventType.START_RUN)
"""A site fires both, the server only the last. A disabled guard says so once."""


class JobGuard(ResumableParts, Widget):
    """End a job that would otherwise fail silently, and log the reason.

    Args:
        heartbeat_timeout: seconds without a sign of life after which a site is lost; None uses the job's
            own `site_wait_seconds` or deployment.survival.site_wait_seconds of project.yml (default: one
            day).
        task_timeout: seconds within which a site with a task must return a result or log a metric. 0 is no
            limit; None uses deployment.guard.task_timeout_seconds of project.yml (default: one day).
        rules: levels by the names of rules, such as {"untrained": "warn"}; see `rule_table.RULES`.
        enabled: False disables the guard, for a job that it ends wrongly. Such a job names the guard in its
            own configuration, which overrides that of the kit.
    """

    def __init__(
        self,
        heartbeat_timeout: float | None = None,
        enabled: bool = True,
        task_timeout: float | None = None,
        rules: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.rules = rules
        self.heartbeat_timeout = heartbeat_timeout
        self.enabled = enabled
        self.task_timeout = task_timeout
        self._guard: ServerGuard | SiteGuard | None = None
        self._is_duplicate = False
        self._failed_events: set[str] = set()
        if enabled:
            shorten_mlflow_timeouts()
        else:
            restore_mlflow_timeouts()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Pass the event to the guard of this process: the server's or the site's."""
        if self._is_duplicate:
            return
        with self._failures_logged(event_type, fl_ctx):
            if self._guard is None and event_type in _STARTS[not self.enabled :]:
                self._start(fl_ctx)
            if self._guard is not None:
                self._guard.handle(event_type, fl_ctx)
            if event_type == EventType.END_RUN and self._guard is not None:
                guard, self._guard = self._guard, None
                guard.close()

    def resumable_parts(self) -> dict[str, Resumable]:
        """Return the state of the server's guard; that of a site has none."""
        found: dict[str, Resumable] = getattr(self._guard, "resumable_parts", dict)()
        return found

    def _start(self, fl_ctx: FLContext) -> None:
        """Create the guard of this process; a second one, added by both recipe and kit, stays idle."""
        engine = fl_ctx.get_engine()
        components = job_components(engine)
        guards = [component for component in components.values() if isinstance(component, JobGuard)]
        if guards and guards[0] is not self:
            self._is_duplicate = True
        elif not self.enabled:
            self.log_warning(fl_ctx, "the guard is disabled for this job", fire_event=False)
        elif isinstance(engine, ServerEngineSpec):
            self._guard = self._server_guard(components, fl_ctx)
        else:
            from fl_app.guard.site import SiteGuard

            self._guard = SiteGuard(self, components)

    def _server_guard(self, components: Mapping[str, Any], fl_ctx: FLContext) -> ServerGuard:
        from fl_app.guard.server import ServerGuard  # sites do not need its imports

        task = task_timeout() if self.task_timeout is None else self.task_timeout
        heartbeat = self.heartbeat_timeout
        timeouts = Timeouts(site_wait(job_meta(fl_ctx)) if heartbeat is None else heartbeat, task)
        return ServerGuard(self, components, timeouts, self.rules)

    @contextlib.contextmanager
    def _failures_logged(self, event_type: str, fl_ctx: FLContext) -> Iterator[None]:
        """Log an error of the guard itself once for each event, and let the job continue."""
        try:
            yield
        except Exception as error:
            if event_type not in self._failed_events:
                self._failed_events.add(event_type)
                self.log_warning(
                    fl_ctx,
                    f"the guard failed at {event_type}; the job continues: {type(error).__name__}: {error}",
                    fire_event=False,
                )

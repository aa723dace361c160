"""The guard as a component of NVFlare's: it comes with every job, through a kit's privacy.json and with each
recipe of the kit, and does its part on the server and at each site."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.widgets.widget import Widget

from fl_app.guard.tracking import hurry, keep_own_pace

if TYPE_CHECKING:
    from fl_app.guard.server import ServerGuard
    from fl_app.guard.site import SiteGuard

SILENCE = 300.0
"""Seconds for which a site may be cut off while a round waits for it; an interrupted network is usually
back by then."""


class JobGuard(Widget):
    """Ends a job that would fail in silence, with the reason; harms none that it does not understand.

    Args:
        silence: seconds after which a site of which nothing is heard is given up.
        task_timeout: seconds in which a site at work must return or log something; 0 for ever, None for what
            the federation has (FLARE_TASK_TIMEOUT at the server, else a day).
        enabled: False lets this job run as NVFlare alone would run it, for one that the guard gets wrong; a
            job names the guard with it in its own configuration, which comes before the kit's.
    """

    def __init__(
        self, silence: float = SILENCE, enabled: bool = True, task_timeout: float | None = None
    ) -> None:
        super().__init__()
        self.silence = silence
        self.enabled = enabled
        self.task_timeout = task_timeout
        self._part: ServerGuard | SiteGuard | None = None
        self._is_second = False
        self._said: set[str] = set()
        if enabled:
            hurry()
        else:
            keep_own_pace()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Look at the job."""
        if self._is_second:
            return
        with self._without_harm(event_type, fl_ctx):
            if event_type == EventType.START_RUN:
                self._begin(fl_ctx)
            if self._part is not None:
                self._part.handle(event_type, fl_ctx)
            if event_type == EventType.END_RUN and self._part is not None:
                part, self._part = self._part, None
                part.close()

    def _begin(self, fl_ctx: FLContext) -> None:
        """Take up the part of this process, unless another guard of this job has: the recipe's and the kit's
        may both be there."""
        engine = fl_ctx.get_engine()
        components = engine.get_all_components() if hasattr(engine, "get_all_components") else {}
        if not components:
            components = getattr(getattr(engine, "run_manager", None), "components", {})
        guards = [component for component in components.values() if isinstance(component, JobGuard)]
        if guards and guards[0] is not self:
            self._is_second = True
        elif not self.enabled:
            self.log_warning(fl_ctx, "this job has switched its guard off", fire_event=False)
        elif isinstance(engine, ServerEngineSpec):
            self._part = self._on_server(components)
        else:
            from fl_app.guard.site import SiteGuard

            self._part = SiteGuard(self, components)

    def _on_server(self, components: dict[str, Any]) -> ServerGuard:
        from fl_app.guard.server import Limits, ServerGuard  # a site does not need what they import
        from fl_app.guard.stalled import task_timeout

        longest = task_timeout() if self.task_timeout is None else self.task_timeout
        return ServerGuard(self, components, Limits(silence=self.silence, task=longest))

    @contextlib.contextmanager
    def _without_harm(self, event_type: str, fl_ctx: FLContext) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a job is worth more than its guard
            if event_type not in self._said:
                self._said.add(event_type)
                self.log_warning(
                    fl_ctx,
                    f"the guard fails at {event_type}; the job goes on. {type(error).__name__}: {error}",
                    fire_event=False,
                )

"""The NVFlare components of survival, which the kit's local/ names: of a parent, and of a job process."""

from __future__ import annotations

from typing import Protocol

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import ProcessType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.server_engine_spec import ServerEngineSpec
from nvflare.widgets.widget import Widget

from fl_app.survival.limits import survival_enabled


class Part(Protocol):
    """What survival does in one kind of process."""

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""


class ParentSurvival(Widget):
    """Keep the jobs of a parent running. An error here is logged and does not affect the parent.

    Events: SYSTEM_BOOTSTRAP creates the part of the server or of the site, which gets every event.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Part] = []

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Pass the event on."""
        if event_type == EventType.SYSTEM_BOOTSTRAP:
            self._parts = _parts_of_parent(fl_ctx)
        _handle(self, self._parts, event_type, fl_ctx)


class JobSurvival(Widget):
    """Save and restore the state of a job in the server's job process.

    Events: START_RUN creates the part, which gets every event.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[Part] = []

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Pass the event on."""
        if event_type == EventType.START_RUN and not self._parts:
            self._parts = _parts_of_job(self, fl_ctx)
        _handle(self, self._parts, event_type, fl_ctx)


def _handle(component: Widget, parts: list[Part], event_type: str, fl_ctx: FLContext) -> None:
    for part in parts:
        try:
            part.handle(event_type, fl_ctx)
        except Exception:
            component.logger.exception("Survival: handling of the event %s failed", event_type)


def _parts_of_parent(fl_ctx: FLContext) -> list[Part]:
    """Return the parts of a parent; none in a job process, where NVFlare builds the component, too."""
    if fl_ctx.get_process_type() == ProcessType.SERVER_PARENT:
        from fl_app.survival.history import ServerHistory
        from fl_app.survival.liveness import ServerLiveness
        from fl_app.survival.one_process import OneProcessPerSite
        from fl_app.survival.start_over import StartOver
        from fl_app.survival.watchdog import Watchdog

        repairs: list[Part] = [OneProcessPerSite(), StartOver(), Watchdog()] if survival_enabled() else []
        return [ServerHistory(), ServerLiveness(), *repairs]
    if fl_ctx.get_process_type() == ProcessType.CLIENT_PARENT:
        from fl_app.survival.graceful_stop import Goodbye
        from fl_app.survival.one_process import SiteIdentity

        return [Goodbye(), *([SiteIdentity()] if survival_enabled() else [])]
    return []


def _parts_of_job(component: Widget, fl_ctx: FLContext) -> list[Part]:
    from fl_app.launchers.progress import ProgressReports

    if isinstance(fl_ctx.get_engine(), ServerEngineSpec):
        from fl_app.survival.job_agent import JobAgent  # sites do not need its imports
        from fl_app.survival.job_liveness import PatientJob
        from fl_app.survival.job_status import JobStatus
        from fl_app.survival.transfer_timeout import TransferTimeout

        resumes: list[Part] = [JobAgent(component.system_panic)] if survival_enabled() else []
        return [*resumes, ProgressReports(), PatientJob(), JobStatus(), TransferTimeout()]
    from fl_app.survival.trainer_results import TrainerResults
    from fl_app.survival.uploads import Uploads

    repairs: list[Part] = [TrainerResults(), Uploads()] if survival_enabled() else []
    return [ProgressReports(), *repairs]

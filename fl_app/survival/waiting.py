"""Sites that are away from a running job: `watch` shows them, and the history has a line for each wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_liveness import silence_text
from fl_app.telemetry.job_progress import WAITING_EVENT


class Waiting:
    """The sites of one job that are away."""

    def __init__(self) -> None:
        self._awaited: frozenset[str] = frozenset()
        self._texts: dict[str, str] = {}

    def update(self, late: Mapping[str, float], awaited: Collection[str], fl_ctx: FLContext) -> None:
        """Announce the sites that are away from now on.

        Args:
            late: seconds since the last sign of life of each site that is late.
            awaited: those of them that the job cannot go on without.
            fl_ctx: context of the server's job process.
        """
        engine, before = fl_ctx.get_engine(), self._awaited
        self._awaited = frozenset(awaited)
        texts = {site: silence_text(seconds) for site, seconds in late.items()}
        if texts != self._texts:
            self._texts = texts
            fl_ctx.set_prop(FLContextKey.EVENT_DATA, texts, private=True, sticky=False)
            engine.fire_event(WAITING_EVENT, fl_ctx)
        for site in sorted(self._awaited - before):
            text = f"{texts[site]}; the job waits for it"
            record(engine, fl_ctx.get_job_id(), Intervention(Kind.WAITING, text, site))

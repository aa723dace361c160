"""For which sites a running job waits: `watch` shows it, and the job's history has a line for each wait."""

from __future__ import annotations

from collections.abc import Mapping

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.survival.history import record
from fl_app.survival.interventions import Intervention, Kind
from fl_app.survival.job_liveness import silence_text
from fl_app.telemetry.job_progress import WAITING_EVENT


class Waiting:
    """The sites that one job waits for."""

    def __init__(self) -> None:
        self._sites: frozenset[str] = frozenset()

    def update(self, silent: Mapping[str, float], fl_ctx: FLContext) -> None:
        """Announce the sites that the job waits for from now on.

        Args:
            silent: seconds since the last sign of life, by site.
            fl_ctx: context of the server's job process.
        """
        engine, before = fl_ctx.get_engine(), self._sites
        self._sites = frozenset(silent)
        if not silent and not before:
            return
        texts = {site: silence_text(seconds) for site, seconds in silent.items()}
        fl_ctx.set_prop(FLContextKey.EVENT_DATA, texts, private=True, sticky=False)
        engine.fire_event(WAITING_EVENT, fl_ctx)
        for site in sorted(self._sites - before):
            text = f"{texts[site]}; the job waits for it"
            record(engine, fl_ctx.get_job_id(), Intervention(Kind.WAITING, text, site))

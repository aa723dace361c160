"""Values that are logged, as the server's job process hears of them: by which events, and whose they are."""

from __future__ import annotations

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.apis.fl_constant import EventScope, FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext

FED_ANALYTICS = f"fed.{ANALYTIC_EVENT_TYPE}"
"""A site logged something, and sent it on to the server; without `fed.` it was logged where it is heard."""


def site_that_logged(fl_ctx: FLContext) -> str:
    """The site that sent the value of this event; empty if it was logged here.

    Not by the event's type: NVFlare's MetricRelay sends what a site logs under that of the server's own.
    """
    if fl_ctx.get_prop(FLContextKey.EVENT_SCOPE) != EventScope.FEDERATION:
        return ""
    return str(fl_ctx.get_prop(FLContextKey.EVENT_DATA).get_peer_prop(ReservedKey.IDENTITY_NAME, ""))

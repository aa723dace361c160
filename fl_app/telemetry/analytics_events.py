"""NVFlare's events for logged values (analytics), as the server's job process receives them."""

from __future__ import annotations

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE, AnalyticsData, AnalyticsDataType
from nvflare.apis.fl_constant import EventScope, FLContextKey, ReservedKey
from nvflare.apis.fl_context import FLContext

FED_ANALYTICS = f"fed.{ANALYTIC_EVENT_TYPE}"
"""Event for a value that a site logged and sent to the server. Without `fed.`, the value is local."""


def site_that_logged(fl_ctx: FLContext) -> str:
    """Return the site that sent the value of this event; "" if this process logged it.

    The event's type is not enough: NVFlare's MetricRelay fires the local type for values of a site.
    """
    if fl_ctx.get_prop(FLContextKey.EVENT_SCOPE) != EventScope.FEDERATION:
        return ""
    return str(fl_ctx.get_prop(FLContextKey.EVENT_DATA).get_peer_prop(ReservedKey.IDENTITY_NAME, ""))


def scalars_of(data: AnalyticsData) -> dict[str, float] | None:
    """Return the scalars of a logged value, by tag; None if the value has another type."""
    kind = data.data_type
    if kind in (AnalyticsDataType.SCALAR, AnalyticsDataType.METRIC):
        return {str(data.tag): float(data.value)}
    if kind in (AnalyticsDataType.SCALARS, AnalyticsDataType.METRICS):
        prefix = f"{data.tag}/" if kind is AnalyticsDataType.SCALARS else ""
        return {f"{prefix}{name}": float(value) for name, value in data.value.items()}
    return None

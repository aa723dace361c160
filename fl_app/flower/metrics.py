"""Metrics of Flower's processes: NVFlare's MetricRelay passes them to NVFlare's trackers."""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.widgets.metric_relay import MetricRelay
from nvflare.fuel.f3.drivers.driver_params import DriverParams


class FlowerSiteMetrics(MetricRelay):
    """Relay what a ClientApp logs with NVFlare's SummaryWriter, as if the site's job process had logged it.

    NVFlare's own class is not on the class_allow_list of sites. It also sends metrics to the server under the
    event of the server's own metrics, which NVFlare's MLflow receiver ignores.
    """

    def __init__(self) -> None:
        super().__init__(fed_event=False)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Start and stop with the run."""
        if event_type == EventType.ABOUT_TO_START_RUN:
            listen_on_loopback(fl_ctx)
        super().handle_event(event_type, fl_ctx)


class FlowerServerMetrics(FlowerSiteMetrics):
    """Relay what a ServerApp logs with NVFlare's SummaryWriter."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Start and stop with the run: the server fires other events than a site."""
        if event_type == EventType.START_RUN:
            super().handle_event(EventType.ABOUT_TO_START_RUN, fl_ctx)
        elif event_type == EventType.END_RUN:
            super().handle_event(EventType.ABOUT_TO_END_RUN, fl_ctx)


def listen_on_loopback(fl_ctx: FLContext) -> None:
    """Open the listener of this job process on a free port of 127.0.0.1, before MetricRelay opens it.

    MetricRelay would open it on the port in comm_config.json, which the parent already uses.
    """
    resources = {DriverParams.HOST.value: "127.0.0.1", DriverParams.CONNECTION_SECURITY.value: "clear"}
    fl_ctx.get_engine().get_cell().make_internal_listener(resources=resources)

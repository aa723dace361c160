"""How what Flower's processes log reaches NVFlare's trackers: by NVFlare's own relay."""

from __future__ import annotations

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.widgets.metric_relay import MetricRelay
from nvflare.fuel.f3.comm_config import CommConfigurator


class SiteMetrics(MetricRelay):
    """Takes what a ClientApp logs with NVFlare's SummaryWriter, as if the site's own process had logged it.

    NVFlare's own class is on no site's class_allow_list; and it sends everything to the server under the name
    of what the server itself logs, where NVFlare's MLflow receiver does not hear it.
    """

    def __init__(self) -> None:
        super().__init__(fed_event=False)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin and end with the run."""
        if event_type == EventType.ABOUT_TO_START_RUN:
            leave_the_parents_port()
        super().handle_event(event_type, fl_ctx)


class ServerMetrics(MetricRelay):
    """Takes what a ServerApp logs with NVFlare's SummaryWriter."""

    def __init__(self) -> None:
        super().__init__(fed_event=False)

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Begin and end with the run, by events that the server has, too."""
        if event_type == EventType.START_RUN:
            leave_the_parents_port()
            super().handle_event(EventType.ABOUT_TO_START_RUN, fl_ctx)
        elif event_type == EventType.END_RUN:
            super().handle_event(EventType.ABOUT_TO_END_RUN, fl_ctx)


def leave_the_parents_port() -> None:
    """Let this job process listen on any free port for what it starts itself.

    It reads the same comm_config.json as its parent, whose port for job processes is fixed there and taken.
    """
    resources = (CommConfigurator().get_config() or {}).get("internal", {}).get("resources", {})
    resources.pop("port", None)

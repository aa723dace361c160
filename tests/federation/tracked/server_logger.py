"""Server component that logs a value, as a server-side evaluation would."""

from __future__ import annotations

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType
from nvflare.widgets.widget import Widget


class ServerLogger(Widget):
    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == AppEventType.ROUND_STARTED:
            step = fl_ctx.get_prop(AppConstants.CURRENT_ROUND)
            point = create_analytic_dxo("evaluation", 0.75, AnalyticsDataType.SCALAR, global_step=step)
            with fl_ctx.get_engine().new_context() as own:
                send_analytic_dxo(self, point, own)

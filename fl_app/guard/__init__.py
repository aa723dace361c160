"""What NVFlare would let pass in silence ends a job with its reason.

Other parts report to it with `report(fl_ctx, Finding(...))`, on the server or at a site; a controller or
aggregator of the kit that gives back a model of the shape it got says so with `keeps_model_shape = True`.
"""

from fl_app.guard.finding import FINDING_EVENT, MARK, Finding, refusal, report

__all__ = ["FINDING_EVENT", "MARK", "Finding", "refusal", "report"]

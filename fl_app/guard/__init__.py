"""The guard turns failures that NVFlare ignores into an error that ends the job and gives the reason.

Any component can end its job with `report(fl_ctx, Finding(...))`, on the server or at a site. A controller or
an aggregator that returns a model of the shape that it received declares `keeps_model_shape = True`.
"""

from fl_app.guard.finding import FINDING_EVENT, MARK, Finding, fail, refusal, report

__all__ = ["FINDING_EVENT", "MARK", "Finding", "fail", "refusal", "report"]

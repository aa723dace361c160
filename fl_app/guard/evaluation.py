"""Failures in cross-site evaluation, which NVFlare turns into empty results of a completed job."""

from __future__ import annotations

from nvflare.apis.dxo import DataKind
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.finding import Finding
from fl_app.guard.task import dxo_in

_FAILURES = (
    ReturnCode.EXECUTION_EXCEPTION,
    ReturnCode.EXECUTION_RESULT_ERROR,
    ReturnCode.BAD_TASK_DATA,
    ReturnCode.TASK_UNKNOWN,
    ReturnCode.TASK_DATA_FILTER_ERROR,
    ReturnCode.TASK_RESULT_FILTER_ERROR,
)
"""Any other code is a valid answer: a site may have no model to submit, or none of the requested kind."""


def failed_evaluation(result: Shareable, site: str, task: str) -> Finding | None:
    """Return why the evaluation by a site has no metrics; None if it has some."""
    owner = str(result.get_cookie(AppConstants.MODEL_OWNER, "") or "")
    model = f"model of {owner}" if owner else ""
    code = result.get_return_code()
    if code in _FAILURES:
        return Finding(
            f"failed in the cross-site evaluation (task {task}: {code}): its results would be empty",
            "See its log; the client must answer flare.is_evaluate() with FLModel(metrics=...).",
            site=site,
            key=model,
            rule="evaluation",
        )
    dxo = dxo_in(result)
    if task != AppConstants.TASK_VALIDATION or dxo is None or dxo.data_kind != DataKind.METRICS or dxo.data:
        return None
    return Finding(
        "returned no metrics in the cross-site evaluation",
        "The client must answer flare.is_evaluate() with FLModel(metrics=...).",
        site=site,
        key=model,
        rule="evaluation",
    )

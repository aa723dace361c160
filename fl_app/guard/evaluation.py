"""Cross-site evaluation, where a site's failure becomes an empty result of a job that completed."""

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
"""Other codes are answers: a site may have no model to submit, or none of the kind that is asked for."""


def failed_evaluation(result: Shareable, site: str, task: str) -> Finding | None:
    """Why a site's part in a cross-site evaluation is missing; None if it is there."""
    owner = str(result.get_cookie(AppConstants.MODEL_OWNER, "") or "")
    model = f"model of {owner}" if owner else ""
    code = result.get_return_code()
    if code in _FAILURES:
        return Finding(
            f"failed in the cross-site evaluation (task {task}: {code}), and its results would be empty",
            "Its log has the exception; let the client answer flare.is_evaluate() with FLModel(metrics=...).",
            site=site,
            key=model,
        )
    dxo = dxo_in(result)
    if task != AppConstants.TASK_VALIDATION or dxo is None or dxo.data_kind != DataKind.METRICS or dxo.data:
        return None
    return Finding(
        "returned no metrics in the cross-site evaluation",
        "Let the client answer flare.is_evaluate() with FLModel(metrics=...).",
        site=site,
        key=model,
    )

"""Remove private data of other sites from a task for a site."""

from __future__ import annotations

from typing import Any

from nvflare.apis.dxo import DXO
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.task import dxo_in

_INFO, _WEIGHTS = AppConstants.METRICS_AGGREGATION_INFO, "site_weights"


def withhold_site_weights(task: Shareable) -> bool:
    """Remove the weight of each site in the average, which is its number of examples.

    FedAvg sends the weights in the meta of the global model. `task` is a shallow copy for one site.
    Its values are shared with the copies for other sites, so they stay unchanged.

    Returns:
        Whether the task had weights.
    """
    dxo = dxo_in(task)
    info: Any = dxo.get_meta_prop(_INFO) if dxo is not None else None
    if dxo is None or not isinstance(info, dict) or _WEIGHTS not in info:
        return False
    public = {name: value for name, value in info.items() if name != _WEIGHTS}
    DXO(dxo.data_kind, data=dxo.data, meta={**dxo.meta, _INFO: public}).update_shareable(task)
    return True

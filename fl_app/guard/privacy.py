"""What a site must not learn about the others, taken out of a task before it is sent."""

from __future__ import annotations

from typing import Any

from nvflare.apis.shareable import Shareable

_DXO, _META = "DXO", "meta"
_INFO, _WEIGHTS = "metrics_aggregation_info", "site_weights"


def withhold_site_weights(task: Shareable) -> bool:
    """Take out how much each site counts in the average: the number of its examples.

    FedAvg sends it along since it is in the global model's meta. `task` is a copy of the task for one site
    whose values are shared with other copies, so what is changed is copied.

    Returns:
        Whether there was anything to take out.
    """
    encoded: Any = task.get(_DXO)
    meta: Any = encoded.get(_META) if isinstance(encoded, dict) else None
    info: Any = meta.get(_INFO) if isinstance(meta, dict) else None
    if not isinstance(info, dict) or _WEIGHTS not in info:
        return False
    kept = {name: value for name, value in info.items() if name != _WEIGHTS}
    task[_DXO] = {**encoded, _META: {**meta, _INFO: kept}}
    return True

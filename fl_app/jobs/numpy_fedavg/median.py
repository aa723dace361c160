"""Example of a custom aggregator: the median over the sites, coordinate by coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator


class MedianAggregator(ModelAggregator):
    """Take the median of every number over the sites: a minority of broken sites has little effect on it.

    All sites count equally, whatever their number of examples. The median of two sites is their mean.
    """

    keeps_model_shape = True
    """Tells the guard to check the shapes of the results."""

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[str, FLModel] = {}
        self._error = ""

    def accept_model(self, model: FLModel) -> None:
        """Keep one site's result; `aggregate_model` raises its errors, as NVFlare only logs them here."""
        site = str((model.meta or {}).get("client_name", "a site"))
        self._error = self._error or _difference(site, model, self._results)
        self._results[site] = model

    def aggregate_model(self) -> FLModel:
        """Return the median model. An exception ends the job.

        Raises:
            ValueError: no result, different names or shapes, or full models mixed with differences.
        """
        if self._error or not self._results:
            raise ValueError(self._error or "no site returned a result")
        results = list(self._results.values())
        first = results[0]
        median = {
            name: np.median([result.params[name] for result in results], axis=0) for name in first.params
        }
        return FLModel(
            params={name: value.astype(first.params[name].dtype) for name, value in median.items()},
            params_type=ParamsType(first.params_type),
            metrics=_common_metrics(results),
        )

    def reset_stats(self) -> None:
        """Forget the results of the round."""
        self._results = {}
        self._error = ""


def _difference(site: str, model: FLModel, before: dict[str, FLModel]) -> str:
    shapes = {name: np.shape(value) for name, value in model.params.items()}
    for other, result in before.items():
        if result.params_type != model.params_type:
            return f"{site} returned {model.params_type} parameters, {other} {result.params_type}"
        expected = {name: np.shape(value) for name, value in result.params.items()}
        if shapes != expected:
            return f"{site} returned parameters of shapes {shapes}, {other} of {expected}"
    return ""


def _common_metrics(results: list[FLModel]) -> dict[str, Any] | None:
    """Return the median of each metric that every site reported."""
    reported = [result.metrics or {} for result in results]
    common = set(reported[0]).intersection(*reported)
    return {
        name: float(np.median([metrics[name] for metrics in reported])) for name in sorted(common)
    } or None

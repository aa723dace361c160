"""An aggregator of one's own, as an example: the median of the sites, coordinate by coordinate."""

from __future__ import annotations

from typing import Any

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator


class UnlikeResults(ValueError):  # noqa: N818 - read by people, in logs
    """Sites returned what has no common median; says which site."""


class MedianAggregator(ModelAggregator):
    """The median of every number over the sites: a minority of broken sites cannot move it far.

    All sites count alike, however many examples they have; of two sites it is the mean.
    """

    keeps_model_shape = True
    """So that the guard holds each site to the shape it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[str, FLModel] = {}
        self._refusal = ""

    def accept_model(self, model: FLModel) -> None:
        """Keep one site's result; what is wrong with it `aggregate_model` raises, for here NVFlare would only
        log it."""
        site = str((model.meta or {}).get("client_name", "a site"))
        self._refusal = self._refusal or _why_unlike(site, model, self._results)
        self._results[site] = model

    def aggregate_model(self) -> FLModel:
        """The median model; ends the job if the results cannot be compared.

        Raises:
            UnlikeResults: no result, other names, other shapes, or full models beside differences.
        """
        if self._refusal or not self._results:
            raise UnlikeResults(self._refusal or "no site returned a result")
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
        """Forget the round."""
        self._results = {}
        self._refusal = ""


def _why_unlike(site: str, model: FLModel, before: dict[str, FLModel]) -> str:
    shapes = {name: np.shape(value) for name, value in model.params.items()}
    for other, result in before.items():
        if result.params_type != model.params_type:
            return f"{site} returned {model.params_type} parameters, {other} {result.params_type}"
        expected = {name: np.shape(value) for name, value in result.params.items()}
        if shapes != expected:
            return f"{site} returned parameters of shapes {shapes}, {other} of {expected}"
    return ""


def _common_metrics(results: list[FLModel]) -> dict[str, Any] | None:
    """The median of each metric that every site reported."""
    reported = [result.metrics or {} for result in results]
    common = set(reported[0]).intersection(*reported)
    return {
        name: float(np.median([metrics[name] for metrics in reported])) for name in sorted(common)
    } or None

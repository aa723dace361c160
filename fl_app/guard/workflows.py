"""What the guard knows of NVFlare's workflows: which of them promise what, and silence about all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.widgets.intime_model_selector import IntimeModelSelector
from nvflare.app_common.workflows.cross_site_eval import CrossSiteEval
from nvflare.app_common.workflows.cross_site_model_eval import CrossSiteModelEval
from nvflare.app_common.workflows.cyclic import Cyclic
from nvflare.app_common.workflows.cyclic_ctl import CyclicController
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.app_common.workflows.scaffold import Scaffold
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather

KEEPS_SHAPE = "keeps_model_shape"
"""An attribute by which a controller or an aggregator of one's own says that each site must return a model of
the shape that it was sent."""

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Promise:
    """What must hold for the results of a workflow."""

    wants_parameters: frozenset[str] = _NONE
    """Tasks whose results must carry parameters: without them NVFlare leaves the site out."""
    keeps_shape: bool = False
    """A result must be of the model that was sent."""
    evaluates: frozenset[str] = _NONE
    """Tasks of a cross-site evaluation, where a failure becomes an empty result."""
    key_metric: str = ""
    """By which the best model is kept; none if empty."""
    excluded: str = ""
    """A regular expression: parameters that are not averaged, and so leave the model."""


def promise_of(controller: Any, components: Mapping[str, Any]) -> Promise:
    """What holds for a workflow.

    Args:
        controller: NVFlare's controller of it.
        components: the job's other components on the server, by id.
    """
    if isinstance(controller, CrossSiteModelEval | CrossSiteEval):
        return Promise(evaluates=frozenset({AppConstants.TASK_VALIDATION, AppConstants.TASK_SUBMIT_MODEL}))
    aggregator = _aggregator(controller, components)
    averages = _averages(controller, aggregator)
    keeps = averages or any(getattr(one, KEEPS_SHAPE, False) is True for one in (controller, aggregator))
    return Promise(
        wants_parameters=_training_tasks(controller) if averages or isinstance(controller, FedAvg) else _NONE,
        keeps_shape=keeps,
        key_metric=_key_metric(components) if isinstance(controller, FedAvg | ScatterAndGather) else "",
        excluded=_excluded(controller) or _excluded(aggregator),
    )


def _averages(controller: Any, aggregator: Any) -> bool:
    """Whether it is averaging as NVFlare does it, or passes one model from site to site."""
    if isinstance(controller, FedAvg):
        return aggregator is None and type(controller)._aggregate_one_result is FedAvg._aggregate_one_result
    if isinstance(controller, ScatterAndGather):
        return isinstance(aggregator, InTimeAccumulateWeightedAggregator)
    return isinstance(controller, Scaffold | Cyclic | CyclicController)


def _aggregator(controller: Any, components: Mapping[str, Any]) -> Any:
    named = components.get(getattr(controller, "aggregator_id", None) or "")
    return getattr(controller, "aggregator", None) or named


def _training_tasks(controller: Any) -> frozenset[str]:
    for attribute in ("task_name", "train_task_name", "_task_name"):
        name = getattr(controller, attribute, None)
        if isinstance(name, str) and name:
            return frozenset({name})
    return frozenset({AppConstants.TASK_TRAIN})


def _excluded(averaging: Any) -> str:
    pattern = getattr(averaging, "exclude_vars", None)
    return pattern if isinstance(pattern, str) else ""


def _key_metric(components: Mapping[str, Any]) -> str:
    for component in components.values():
        if isinstance(component, IntimeModelSelector):
            return str(component.key_metric or "")
    return ""

"""Requirements for the results of NVFlare's workflows; results of unknown workflows have none."""

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

from fl_app.nvflare_internals.guard import has_default_averaging, uses_step_counts

KEEPS_SHAPE = "keeps_model_shape"
"""Attribute of a custom controller or aggregator whose sites must return the shapes that they received."""

_NONE: frozenset[str] = frozenset()


DEFAULT_KEY_METRICS = ("accuracy", "val_accuracy")
"""Key metrics of NVFlare's recipes and of its model selector by default: nobody may have asked for one."""


@dataclass(frozen=True)
class KeyMetric:
    """The metric that selects the best model."""

    name: str
    direction: str
    """`max` or `min`."""
    is_default: bool = False
    """Whether it may be NVFlare's default, which nobody set."""


@dataclass(frozen=True)
class Expectations:
    """Requirements for the results of a workflow."""

    training_tasks: frozenset[str] = _NONE
    """Tasks whose results must carry parameters; NVFlare ignores a site that returns none."""
    keeps_shape: bool = False
    """Whether a result must have the parameters and shapes of the model that was sent."""
    evaluation_tasks: frozenset[str] = _NONE
    """Tasks of a cross-site evaluation, in which NVFlare turns a failure into an empty result."""
    key_metric: KeyMetric | None = None
    """Metric that selects the best model."""
    stop_metric: str = ""
    """Metric of the condition that ends the training early; empty if there is none."""
    averages: bool = False
    """Whether the workflow averages each parameter over the sites that return it."""
    uses_steps: bool = False
    """Whether the workflow weights each site by its number of local steps."""
    is_lenient: bool = False
    """Whether an aggregator of the user's own may reject a result on purpose."""
    excluded: str = ""
    """Regular expression of the parameters that are not averaged."""


def expectations_of(controller: Any, components: Mapping[str, Any]) -> Expectations:
    """Return the requirements for the results of a workflow.

    Args:
        controller: NVFlare's controller of the workflow, or None.
        components: components of the job on the server, by id.
    """
    if isinstance(controller, CrossSiteModelEval | CrossSiteEval):
        tasks = frozenset({AppConstants.TASK_VALIDATION, AppConstants.TASK_SUBMIT_MODEL})
        return Expectations(evaluation_tasks=tasks)
    aggregator = _aggregator(controller, components)
    averages = _averages(controller, aggregator)
    declared = any(getattr(one, KEEPS_SHAPE, False) is True for one in (controller, aggregator))
    return Expectations(
        training_tasks=_training_tasks(controller) if averages or isinstance(controller, FedAvg) else _NONE,
        keeps_shape=averages or declared,
        key_metric=_key_metric(components) if isinstance(controller, FedAvg | ScatterAndGather) else None,
        stop_metric=str((getattr(controller, "stop_condition", None) or ("",))[0]),
        averages=averages and not isinstance(controller, Cyclic | CyclicController),
        uses_steps=averages and uses_step_counts(controller, aggregator),
        is_lenient=aggregator is not None and not averages,
        excluded=_excluded(controller) or _excluded(aggregator),
    )


def _averages(controller: Any, aggregator: Any) -> bool:
    """Return whether the workflow averages as NVFlare does, or passes one model from site to site."""
    if isinstance(controller, FedAvg):
        return aggregator is None and has_default_averaging(controller)
    if isinstance(controller, ScatterAndGather):
        return isinstance(aggregator, InTimeAccumulateWeightedAggregator)
    return isinstance(controller, Scaffold | Cyclic | CyclicController)


def _aggregator(controller: Any, components: Mapping[str, Any]) -> Any:
    named = components.get(getattr(controller, "aggregator_id", None) or "")
    return getattr(controller, "aggregator", None) or named


def _training_tasks(controller: Any) -> frozenset[str]:
    for attribute in ("task_name", "train_task_name"):
        name = getattr(controller, attribute, None)
        if isinstance(name, str) and name:
            return frozenset({name})
    return frozenset({AppConstants.TASK_TRAIN})


def _excluded(averaging: Any) -> str:
    pattern = getattr(averaging, "exclude_vars", None)
    return pattern if isinstance(pattern, str) else ""


def _key_metric(components: Mapping[str, Any]) -> KeyMetric | None:
    for component in components.values():
        if isinstance(component, IntimeModelSelector) and component.key_metric:
            name = str(component.key_metric)
            is_smaller_better = bool(component.negate_key_metric)
            return KeyMetric(
                name,
                "min" if is_smaller_better else "max",
                is_default=name in DEFAULT_KEY_METRICS and not is_smaller_better,
            )
    return None

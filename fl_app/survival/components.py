"""The components of NVFlare that have state between rounds: adapters, as they keep none themselves."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext

from fl_app.nvflare_internals.workflow_state import metric_summary, restore_metric_summary
from fl_app.survival.optimization import number_of, optimization, restore_optimization
from fl_app.survival.resumable import Resumable, State

_SELECTOR = "nvflare.app_common.widgets.intime_model_selector.IntimeModelSelector"


class _Selector:
    """IntimeModelSelector: a best model is not replaced by a worse one."""

    _kept = ("best_val_metric", "best_raw_val_metric")

    @classmethod
    def checkpoint(cls, component: Any) -> State:
        return State(document={name: number_of(getattr(component, name)) for name in cls._kept})

    @classmethod
    def resume(cls, component: Any, state: State) -> None:
        for name in cls._kept:
            setattr(component, name, state.document[name])


class _TorchPersistor:
    """PTFileModelPersistor: the file of the best model."""

    @staticmethod
    def checkpoint(component: Any) -> State:
        folder = Path(component.log_dir or "")
        return State(files=(str(folder / component.best_global_model_file_name),))

    @staticmethod
    def resume(component: Any, state: State) -> None:
        """Do nothing: the file is in its place."""


class _FedOptGenerator:
    """PTFedOptModelShareableGenerator: model, optimizer and scheduler of ScatterAndGather."""

    @staticmethod
    def checkpoint(component: Any) -> State:
        return optimization(component, component.model)

    @staticmethod
    def resume(component: Any, state: State) -> None:
        restore_optimization(component, component.model, state)


class _MetricsWriter:
    """MetricsArtifactWriter: the summary of all rounds, and the file to which each round adds a line."""

    @staticmethod
    def checkpoint(component: Any) -> State:
        file = Path(component.results_dir, component.round_file_name)
        return State(document=metric_summary(component), files=(str(file),))

    @staticmethod
    def resume(component: Any, state: State) -> None:
        restore_metric_summary(component, state.document)


_COMPONENTS: Mapping[str, Any] = {
    _SELECTOR: _Selector,
    "nvflare.app_common.widgets.metrics_artifact_writer.MetricsArtifactWriter": _MetricsWriter,
    "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor": _TorchPersistor,
    "nvflare.app_opt.pt.fedopt.PTFedOptModelShareableGenerator": _FedOptGenerator,
}


class ExactSum:
    """A sum that does not depend on the order of its terms, in place of a 0 that NVFlare adds to."""

    def __init__(self) -> None:
        self._terms: list[float] = []

    def __add__(self, term: float) -> ExactSum:
        """Add a term in place."""
        self._terms.append(float(term))
        return self

    def __truediv__(self, divisor: float) -> float:
        """Return the rounded sum, divided."""
        return math.fsum(self._terms) / divisor


def sum_metrics_exactly(components: Mapping[str, Any]) -> None:
    """Let the best model not depend on the order of the sites' answers; call it before the first of a round.

    Sites that answer in another order would change the last bit of the metric: of two rounds that are equally
    good, the later one would be better in some runs.
    """
    for component in components.values():
        if _SELECTOR in map(_path, type(component).__mro__):
            component.validation_metric_weighted_sum = ExactSum()
            component.raw_validation_metric_weighted_sum = ExactSum()


class RandomNumbers(Resumable):
    """Python's random numbers, by which NVFlare samples and orders sites, at the beginning of a round."""

    def __init__(self) -> None:
        self._state = random.getstate()

    def remember(self, fl_ctx: FLContext) -> None:
        """Handle an event between two rounds, before sites are drawn."""
        self._state = random.getstate()

    def checkpoint(self) -> State:
        """Return the state of the generator at the beginning of the round."""
        version, numbers, following = self._state
        return State(document={"version": version, "numbers": list(numbers), "following": following})

    def resume(self, state: State) -> None:
        """Go on with the numbers of the earlier process."""
        found = state.document
        random.setstate((found["version"], tuple(found["numbers"]), found["following"]))


class _Adapted(Resumable):
    def __init__(self, component: Any, adapter: Any) -> None:
        self._component, self._adapter = component, adapter

    def checkpoint(self) -> State:
        state: State = self._adapter.checkpoint(self._component)
        return state

    def resume(self, state: State) -> None:
        self._adapter.resume(self._component, state)


def resumable_components(components: Mapping[str, Any]) -> Iterator[tuple[str, Resumable]]:
    """Yield the components of a job that have state between rounds, by id."""
    for name, component in components.items():
        if isinstance(component, Resumable):
            yield name, component
            continue
        for kind in type(component).__mro__:
            if adapter := _COMPONENTS.get(_path(kind)):
                yield name, _Adapted(component, adapter)
                break


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"

"""Scripts of sites for the tests of the guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel

from tests.unit.guard.in_process import Train

ROUNDS = 3
Script = Callable[[FLModel], Any]
"""The script of a site: it receives the model, and returns an FLModel or a Shareable."""


def at_sites(scripts: Mapping[str, Script]) -> Train:
    """Return what each site does, from the scripts by site."""
    return lambda site, model: scripts[site](model)


def returning(change: Callable[[Any], Any], metrics: Any = None, steps: Any = 10) -> Script:
    """A site that changes each parameter in the same way."""
    meta = {} if steps is None else {"NUM_STEPS_CURRENT_ROUND": steps}
    return lambda model: FLModel(
        params={name: change(value) for name, value in model.params.items()}, metrics=metrics, meta=meta
    )


def train(value: Any) -> Any:
    return value + 1


TRAINS = returning(train, {"accuracy": 0.5})
ACCURACY = {"key_metric": "accuracy"}


def only_metrics(model: FLModel) -> FLModel:
    return FLModel(metrics={"accuracy": 0.5})

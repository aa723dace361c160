"""The model in a task or in a result of NVFlare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.arrays import Parameter, describe
from fl_app.guard.rules import size_of


@dataclass(frozen=True)
class Model:
    """The model in a message."""

    parameters: Mapping[str, Any]
    is_complete: bool
    """Whether the parameters are weights; False for differences."""
    is_readable: bool
    """False if a filter has encrypted or compressed the numbers."""
    metrics: Any = None
    """Metrics of the received model, as the client measured them."""
    steps: Any = None
    """Number of local steps, by which NVFlare weights the site."""


def model_in(shareable: Shareable | None) -> Model | None:
    """Return the model in a task or a result; None if it carries none or something else."""
    dxo = dxo_in(shareable)
    if dxo is None or dxo.data_kind not in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF):
        return None
    if dxo.data is not None and not isinstance(dxo.data, Mapping):
        return None
    return Model(
        parameters=dxo.data or {},
        is_complete=dxo.data_kind == DataKind.WEIGHTS,
        is_readable=dxo.get_meta_prop(MetaKey.PROCESSED_ALGORITHM) is None,
        metrics=dxo.get_meta_prop(MetaKey.INITIAL_METRICS),
        steps=dxo.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND),
    )


def dxo_in(shareable: Shareable | None) -> DXO | None:
    """Return the DXO that a message carries; None if it carries none."""
    if not isinstance(shareable, Shareable):
        return None
    try:
        return from_shareable(shareable)
    except ValueError:
        return None


def round_of(*messages: Any) -> int | None:
    """Return the round of the first message that has one, from 1; NVFlare counts from 0."""
    for message in messages:
        if isinstance(message, Shareable):
            number = message.get_header(AppConstants.CURRENT_ROUND)
            if isinstance(number, int):
                return number + 1
    return None


@dataclass(frozen=True)
class SentTask:
    """A summary of the task that a site has and has not returned yet."""

    name: str
    round: int | None
    parameters: Mapping[str, Parameter] | None
    """None if the task carries no readable model."""
    size: int = field(default=0)
    """Size of the model in bytes."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The numbers. A controller may replace them in its own model while the site trains."""

    @property
    def has_arrays(self) -> bool:
        """Whether the model has arrays; the first task of some workflows carries only settings."""
        return any(one.shape is not None for one in (self.parameters or {}).values())

    @classmethod
    def of(cls, name: str, task: Shareable) -> SentTask:
        """Summarize a task."""
        model = model_in(task)
        if model is None or not model.is_readable:
            return cls(name, round_of(task), None)
        parameters = model.parameters
        return cls(name, round_of(task), describe(parameters), size_of(parameters), dict(parameters))

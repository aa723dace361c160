"""The model in a task or in a result of NVFlare's, as the guard sees it; nothing where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.shareable import Shareable
from nvflare.app_common.app_constant import AppConstants

from fl_app.guard.rules import Parameter, describe, size_of


@dataclass(frozen=True)
class Model:
    """A model on its way."""

    parameters: Mapping[str, Any]
    whole: bool
    """Weights; else differences."""
    readable: bool
    """Its numbers are what they seem; else a filter has encrypted or compressed them."""
    metrics: Any = None
    """What the client measured of the model as it received it."""


def model_in(shareable: Shareable | None) -> Model | None:
    """The model that a task or a result carries; None if it carries none, or something else."""
    dxo = dxo_in(shareable)
    if dxo is None or dxo.data_kind not in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF):
        return None
    if dxo.data is not None and not isinstance(dxo.data, Mapping):
        return None
    return Model(
        parameters=dxo.data or {},
        whole=dxo.data_kind == DataKind.WEIGHTS,
        readable=dxo.get_meta_prop(MetaKey.PROCESSED_ALGORITHM) is None,
        metrics=dxo.get_meta_prop(MetaKey.INITIAL_METRICS),
    )


def dxo_in(shareable: Shareable | None) -> DXO | None:
    """What it carries; None if that is not a DXO."""
    if not isinstance(shareable, Shareable):
        return None
    try:
        return from_shareable(shareable)
    except ValueError:
        return None


def round_of(*carriers: Any) -> int | None:
    """The round that the first of these says, from 0; each a Shareable, or None."""
    for carrier in carriers:
        if isinstance(carrier, Shareable):
            number = carrier.get_header(AppConstants.CURRENT_ROUND)
            if isinstance(number, int):
                return number
    return None


@dataclass(frozen=True)
class Sent:
    """What is kept of a task that a site has and has not answered."""

    name: str
    round: int | None
    parameters: Mapping[str, Parameter] | None
    """None if it carries no model, or one that cannot be read."""
    size: int = field(default=0)
    """Bytes of the model."""

    @classmethod
    def of(cls, name: str, task: Shareable) -> Sent:
        """From the task."""
        model = model_in(task)
        if model is None or not model.readable:
            return cls(name, round_of(task), None)
        return cls(name, round_of(task), describe(model.parameters), size_of(model.parameters))

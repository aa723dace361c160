"""Averaging in wider types than those of the weights, so that equal weights keep their value."""

from __future__ import annotations

from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel

from fl_app.nvflare_internals.recipes import ResultHook

_HALF = (torch.float16, torch.bfloat16)


class PreciseAverage(ResultHook):
    """Average half precision in single precision, and all other types in double precision.

    NVFlare adds up the weights in their own type. The average of equal bf16 weights then differs from them by
    about 1 %, fp16 overflows, and weights that no site trains drift from round to round. In a wider type the
    error of the average is far below the spacing of the weights' own type: rounding restores the same bits.

    A mixin for NVFlare's FedAvg controllers: name it before the controller among the bases.
    """

    def add_result(self, result: FLModel) -> bool:
        """Add a site's result to the average in wider types."""
        if result.params:  # NVFlare skips a site that returns none
            result.params = {name: _Wider(value) for name, value in result.params.items()}
        return super().add_result(result)

    def update_model(self, model: FLModel, aggr_result: FLModel) -> Any:
        """Return the average to the types of the model."""
        aggr_result.params = {
            name: _in_type(value, model.params[name].dtype) for name, value in aggr_result.params.items()
        }
        return super().update_model(model, aggr_result)  # type: ignore[misc] # of the controller


class _Wider:
    """Weights that become wider when NVFlare adds them: those that wait for other sites stay small."""

    def __init__(self, value: torch.Tensor) -> None:
        self._value = value

    def materialize(self) -> torch.Tensor:
        """Return the wider weights; NVFlare's averaging calls this."""
        return self._value.to(torch.float32 if self._value.dtype in _HALF else torch.float64)


def _in_type(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return (value if dtype.is_floating_point else value.round()).to(dtype)

"""The proximal term of FedProx: mu/2 * ||w - w_global||^2, with w_global the model that the server sent.

Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, equation 2. Add the term to the
loss before backward: its gradient acts from the second step of a round on.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Anchor = Mapping[str, Tensor]
"""Trainable parameters of the global model, by name: copies that no step changes."""

_HALF = (torch.float16, torch.bfloat16)


def anchor_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy the trainable parameters of the model."""
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def proximal_term(model: nn.Module, anchor: Anchor, mu: float) -> Tensor:
    """Return mu/2 times the squared distance of the trainable parameters from the anchor.

    It uses single precision or better: half precision rounds the square of a small difference to 0.
    """
    differences = (
        parameter - anchor[name] for name, parameter in model.named_parameters() if parameter.requires_grad
    )
    squares = [(value.float() if value.dtype in _HALF else value).square().sum() for value in differences]
    return mu / 2 * torch.stack(squares).sum()

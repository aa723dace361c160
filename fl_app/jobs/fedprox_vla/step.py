"""A training step of FedProx: the proximal term, then backward, then unscale, clip, step and schedule.

The term is mu/2 * ||w - w_global||^2, with w_global the model as the server sent it (Li et al., "Federated
Optimization in Heterogeneous Networks", MLSys 2020, equation 2). Added after backward it changes a number in
a log and nothing else; tests/unit/fedprox holds this step against that mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fl_app.jobs.fedprox_vla.precision import Precision

Anchor = Mapping[str, Tensor]
"""The trainable parameters of the global model, by name: copies, which no step changes."""


@dataclass(frozen=True)
class StepResult:
    """What a step did."""

    loss: float
    """Without the proximal term."""
    proximal: float
    """The proximal term, mu included, as backward saw it."""
    gradient_norm: float
    """Euclidean norm of all gradients together, before clipping."""
    stepped: bool
    """False where the scaler found an overflow and left the model as it was."""


def anchor_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the trainable parameters as they are now."""
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def proximal_term(model: nn.Module, anchor: Anchor, mu: float) -> Tensor:
    """mu/2 times the squared distance of the trainable parameters from the anchor.

    In single precision or better: the square of a small difference is zero in half precision.
    """
    squares = [
        (parameter - anchor[name]).float().square().sum()
        if parameter.dtype in (torch.float16, torch.bfloat16)
        else (parameter - anchor[name]).square().sum()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    return mu / 2 * torch.stack(squares).sum()


@dataclass
class FedProxStep:
    """Steps a model from batch to batch.

    Args:
        model: is trained in place.
        optimizer: over its trainable parameters.
        anchor: where the proximal term pulls to; see `anchor_of`.
        mu: how strongly; 0 is FedAvg, bit for bit.
        max_norm: gradients above this Euclidean norm are scaled down to it.
        precision: of forward and loss; everything else is computed in the parameters' own.
        scheduler: stepped after each step of the optimizer, and only then.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    anchor: Anchor
    mu: float
    max_norm: float
    precision: Precision
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    scaler: Any = field(init=False)

    def __post_init__(self) -> None:
        """Make the scaler; without half precision it passes everything through."""
        self.scaler = torch.amp.GradScaler(self.precision.device, enabled=self.precision.needs_scaler)

    def __call__(self, loss_of: Callable[[], Tensor]) -> StepResult:
        """Take one step.

        Args:
            loss_of: computes the loss of a batch with the model, under autocast.
        """
        self.optimizer.zero_grad(set_to_none=True)
        mixed = self.precision.mixed
        with torch.autocast(self.precision.device, dtype=mixed, enabled=mixed is not None):
            loss = loss_of()
        if loss.dtype in (torch.float16, torch.bfloat16):
            loss = loss.float()
        proximal = proximal_term(self.model, self.anchor, self.mu) if self.mu else loss.new_zeros(())
        self.scaler.scale(loss + proximal if self.mu else loss).backward()
        self.scaler.unscale_(self.optimizer)  # a clipped scaled gradient would be another gradient
        trained = [value for value in self.model.parameters() if value.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, max_norm=self.max_norm)
        stepped = self._step()
        return StepResult(loss.item(), proximal.item(), float(norm), stepped)

    def _step(self) -> bool:
        """Step the optimizer, and the schedule with it; whether the scaler let it."""
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        stepped = bool(self.scaler.get_scale() >= before)
        if stepped and self.scheduler is not None:
            self.scheduler.step()
        return stepped

"""One training step of FedProx, and its device and precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fl_app.jobs.shared.proximal_term import Anchor, proximal_term

Mixed = Literal["auto", "off", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """Device and precision of a training step.

    Args:
        device: cpu or cuda.
        mixed: type that autocast computes in; None for single precision throughout.
    """

    device: str
    mixed: torch.dtype | None

    @property
    def needs_scaler(self) -> bool:
        """Whether gradients must be scaled: fp16 alone has too few exponents for small ones."""
        return self.mixed is torch.float16


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """Return the device to train on; `auto` is a GPU if there is one.

    Raises:
        ValueError: `wanted` is cuda, and the site has no GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device=cuda, but this site has no GPU that PyTorch can use: give it one (deployment.gpus and "
            "the gpu image) or submit with --set device=auto"
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def choose_precision(device: str, mixed: Mixed) -> Precision:
    """Return the precision to train in: `auto` is fp16 with a scaler on a GPU, and bf16 on a CPU.

    Raises:
        ValueError: fp16 on a CPU, where its kernels are slow or missing.
    """
    if mixed == "auto":
        mixed = "fp16" if device == "cuda" else "bf16"
    if mixed == "fp16" and device == "cpu":
        raise ValueError("amp=fp16 needs a GPU; this site has none: use --set amp=bf16 or amp=off")
    return Precision(device, {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[mixed])


@dataclass(frozen=True)
class StepResult:
    """Values of one step."""

    loss: float
    """Loss without the proximal term."""
    proximal: float
    """Proximal term, mu included."""
    gradient_norm: float
    """Euclidean norm of all gradients together, before clipping."""
    stepped: bool
    """False if the scaler found an overflow and skipped the step."""


@dataclass
class FedProxStep:
    """Train a model batch by batch.

    Args:
        model: model that is trained in place.
        optimizer: optimizer of the model's trainable parameters.
        anchor: the global model's parameters; see `anchor_of`.
        mu: strength of the proximal term; 0 is FedAvg, bit for bit.
        max_norm: largest Euclidean norm of the gradients; larger ones are scaled down to it.
        precision: precision of forward and loss; other computations use that of the parameters.
        scheduler: learning rate schedule; steps after each step of the optimizer that is not skipped.
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
        """Create the scaler; it is disabled unless the precision is fp16."""
        self.scaler = torch.amp.GradScaler(self.precision.device, enabled=self.precision.needs_scaler)

    def __call__(self, loss_of: Callable[[], Tensor]) -> StepResult:
        """Take one step.

        Args:
            loss_of: computes the loss of a batch; it is called under autocast.
        """
        self.optimizer.zero_grad(set_to_none=True)
        mixed = self.precision.mixed
        with torch.autocast(self.precision.device, dtype=mixed, enabled=mixed is not None):
            loss = loss_of()
        if loss.dtype in (torch.float16, torch.bfloat16):
            loss = loss.float()
        proximal = proximal_term(self.model, self.anchor, self.mu) if self.mu else loss.new_zeros(())
        self.scaler.scale(loss + proximal if self.mu else loss).backward()
        self.scaler.unscale_(self.optimizer)  # clipping must see the gradients' true size
        trained = [value for value in self.model.parameters() if value.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, max_norm=self.max_norm)
        stepped = self._step()
        return StepResult(loss.item(), proximal.item(), float(norm), stepped)

    def _step(self) -> bool:
        """Step the optimizer and then the schedule; return False if the scaler skipped the step."""
        before = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        stepped = bool(self.scaler.get_scale() >= before)
        if stepped and self.scheduler is not None:
            self.scheduler.step()
        return stepped

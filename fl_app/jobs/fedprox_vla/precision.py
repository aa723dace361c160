"""In which precision a training step computes: mixed where the device gains by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Mixed = Literal["auto", "off", "bf16", "fp16"]


class UnusablePrecision(ValueError):  # noqa: N818 - read by people, in logs
    """The device cannot compute so."""


@dataclass(frozen=True)
class Precision:
    """How to compute.

    Args:
        device: cpu or cuda.
        mixed: what autocast computes in; None for single precision throughout.
    """

    device: str
    mixed: torch.dtype | None

    @property
    def needs_scaler(self) -> bool:
        """Whether small gradients would be lost without a scale: fp16 alone has too few exponents."""
        return self.mixed is torch.float16


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """The device to train on.

    Raises:
        UnusablePrecision: a GPU was asked for and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnusablePrecision(
            "device=cuda, but this site has no GPU that PyTorch can use; give it one (deployment.gpus and "
            "the gpu image) or submit with --set device=auto"
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def choose_precision(device: str, mixed: Mixed) -> Precision:
    """The precision to train in: `auto` is fp16 with a scaler on a GPU and bf16 on a CPU.

    Raises:
        UnusablePrecision: fp16 on a CPU, whose kernels for it are slow or missing.
    """
    if mixed == "auto":
        mixed = "fp16" if device == "cuda" else "bf16"
    if mixed == "fp16" and device == "cpu":
        raise UnusablePrecision("amp=fp16 needs a GPU; on this site's CPU use --set amp=bf16 or amp=off")
    return Precision(device, {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[mixed])

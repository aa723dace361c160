"""Device and numerical precision of the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Mixed = Literal["auto", "off", "bf16", "fp16"]


class UnsupportedPrecision(ValueError):  # noqa: N818 - an outcome that users read
    """The site has no such device, or the device does not support the precision."""


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
        UnsupportedPrecision: `wanted` is cuda, and the site has no GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UnsupportedPrecision(
            "device=cuda, but this site has no GPU that PyTorch can use: give it one (deployment.gpus and "
            "the gpu image) or submit with --set device=auto"
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def choose_precision(device: str, mixed: Mixed) -> Precision:
    """Return the precision to train in: `auto` is fp16 with a scaler on a GPU, and bf16 on a CPU.

    Raises:
        UnsupportedPrecision: fp16 on a CPU, where its kernels are slow or missing.
    """
    if mixed == "auto":
        mixed = "fp16" if device == "cuda" else "bf16"
    if mixed == "fp16" and device == "cpu":
        raise UnsupportedPrecision("amp=fp16 needs a GPU; this site has none: use --set amp=bf16 or amp=off")
    return Precision(device, {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[mixed])

"""The model of the job `probe`: some numbers."""

from __future__ import annotations

import torch


class Numbers(torch.nn.Module):
    """`count` zeros of a type of torch."""

    def __init__(self, count: int = 1000, dtype: str = "float32") -> None:
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.zeros(count, dtype=getattr(torch, dtype)))

"""The model of the job `probe`: some numbers."""

from __future__ import annotations

import torch


class Numbers(torch.nn.Module):
    """`count` zeros."""

    def __init__(self, count: int = 1000) -> None:
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.zeros(count))

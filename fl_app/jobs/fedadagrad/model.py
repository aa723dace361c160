"""The model of the jobs `fedadagrad` and `flower-digits`: a small network that reads handwritten digits."""

from __future__ import annotations

import torch
from torch import nn

from fl_app.jobs.fedadagrad.digits import CLASSES, PIXELS


class DigitReader(nn.Module):
    """One hidden layer; one output a digit.

    Args:
        hidden: size of the hidden layer.
        seed: of the first weights. NVFlare builds the model anew where the job runs, from its arguments.
    """

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(PIXELS, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Scores of the ten digits, one row an image."""
        return self.layers(pixels)

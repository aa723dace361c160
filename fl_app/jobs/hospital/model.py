"""The model of the job `hospital`: a small network that tells malignant from benign tumours."""

from __future__ import annotations

import torch
from torch import nn

from fl_app.jobs.hospital.data import FEATURES


class TumourClassifier(nn.Module):
    """One hidden layer; two outputs, for malignant and benign.

    Args:
        hidden: size of the hidden layer.
        seed: of the first weights. NVFlare builds the model anew where the job runs, from its arguments.
    """

    def __init__(self, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Linear(FEATURES, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scores of malignant and benign, one row a patient."""
        return self.layers(features)

"""A small classifier of patients."""

import torch
from torch import nn


class Classifier(nn.Module):
    """Two layers; `features` columns of the table, two classes."""

    def __init__(self, features: int = 30) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, patients: torch.Tensor) -> torch.Tensor:
        """Return a score for each class."""
        return self.layers(patients)

"""A classifier with batch normalization, whose counters are integers."""

import torch
from torch import nn


class Classifier(nn.Module):
    """Two layers for points with four features."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.output = nn.Linear(8, 2)

    def forward(self, points):
        return self.output(torch.relu(self.norm(self.hidden(points))))

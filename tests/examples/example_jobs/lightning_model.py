"""The classifier as a module of PyTorch Lightning."""

import torch
from example_jobs.model import Classifier
from pytorch_lightning import LightningModule


class LightningClassifier(LightningModule):
    """Train the classifier with stochastic gradient descent."""

    def __init__(self):
        super().__init__()
        self.classifier = Classifier()

    def forward(self, points):
        return self.classifier(points)

    def training_step(self, batch):
        points, labels = batch
        return torch.nn.functional.cross_entropy(self(points), labels)

    def validation_step(self, batch):
        points, labels = batch
        self.log("accuracy", (self(points).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

"""Train a classifier on the patients of one hospital: python train.py --data FOLDER --epochs 20."""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import Classifier
from torch.nn import functional


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Read patients.csv: a header, one patient a row, the label (0 or 1) last."""
    table = np.loadtxt(folder / "patients.csv", delimiter=",", skiprows=1)
    features = (table[:, :-1] - table[:, :-1].mean(axis=0)) / table[:, :-1].std(axis=0)
    return torch.tensor(features, dtype=torch.float32), torch.tensor(table[:, -1], dtype=torch.long)


def main() -> None:
    """Train and print the accuracy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("/data/patients"))
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()

    features, labels = load(arguments.data)
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(arguments.epochs):
        accuracy = (model(features).argmax(dim=1) == labels).float().mean().item()
        for rows in torch.randperm(len(labels)).split(32):
            loss = functional.cross_entropy(model(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: accuracy {accuracy:.3f}, loss {loss.item():.3f}")
    torch.save(model.state_dict(), "model.pt")


if __name__ == "__main__":
    main()

"""Train a classifier on the patients of this site, in each round from the global model."""

import argparse
from pathlib import Path

import numpy as np
import nvflare.client as flare
import torch
from model import Classifier
from nvflare.client.tracking import SummaryWriter
from torch.nn import functional


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Read patients.csv: a header, one patient a row, the label (0 or 1) last."""
    table = np.loadtxt(folder / "patients.csv", delimiter=",", skiprows=1)
    features = (table[:, :-1] - table[:, :-1].mean(axis=0)) / table[:, :-1].std(axis=0)
    return torch.tensor(features, dtype=torch.float32), torch.tensor(table[:, -1], dtype=torch.long)


def main() -> None:
    """Train in each round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("/data/patients"))
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()

    features, labels = load(arguments.data)
    model = Classifier()
    flare.init()  # 1: connect to the job
    writer = SummaryWriter()
    while flare.is_running():  # 2: one pass for each round
        received = flare.receive()
        model.load_state_dict(received.params)  # 3: start from the global model
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        accuracy = (model(features).argmax(dim=1) == labels).float().mean().item()
        for _ in range(arguments.epochs):
            for rows in torch.randperm(len(labels)).split(32):
                loss = functional.cross_entropy(model(features[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        writer.add_scalar("accuracy", accuracy, received.current_round)  # 4: TensorBoard in place of print
        writer.add_scalar("loss", loss.item(), received.current_round)
        flare.send(  # 5: the server averages the models in place of torch.save
            flare.FLModel(
                params=model.state_dict(),
                metrics={"accuracy": accuracy},
                meta={"NUM_STEPS_CURRENT_ROUND": len(labels)},
            )
        )


if __name__ == "__main__":
    main()

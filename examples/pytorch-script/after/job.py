"""The job: client.py at each site, and federated averaging at the server. This file stays on your machine."""

import argparse

from model import Classifier
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv


def main() -> None:
    """Make the job and run it in the simulator; flarefleet submits it in place of that."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--data", default="/data/patients")
    arguments = parser.parse_args()

    recipe = FedAvgRecipe(
        name="patients",
        min_clients=arguments.sites,
        num_rounds=arguments.rounds,
        model=Classifier(),
        train_script="client.py",
        train_args=f"--data {arguments.data} --epochs {arguments.epochs}",
        key_metric="accuracy",
    )
    recipe.execute(SimEnv(num_clients=arguments.sites))


if __name__ == "__main__":
    main()

"""A job as a data scientist writes it with NVFlare alone, for a federation in production."""

import argparse

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe
from nvflare.recipe import ProdEnv


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kit", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    recipe = NumpyFedAvgRecipe(
        name="stock-script",
        model=[[0.0, 0.0]],
        train_script="client.py",
        min_clients=2,
        num_rounds=arguments.rounds,
        key_metric="accuracy",
    )
    run = recipe.execute(ProdEnv(startup_kit_location=arguments.kit, username=arguments.user))
    print("result:", run.get_result())
    print("status:", run.get_status())


if __name__ == "__main__":
    main()

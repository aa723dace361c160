"""A job as in NVFlare's documentation: FedAvgRecipe, executed in ProdEnv. Prints the path of its result."""

import argparse
from pathlib import Path

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import ProdEnv, add_experiment_tracking

MODELS = {
    "hospital": {
        "class_path": "fl_app.jobs.hospital.model.TumourClassifier",
        "args": {"hidden": 32, "seed": 0},
    },
    "probe": {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 1000}},
}

LOGIN_SECONDS = 60.0
"""NVFlare's default, 5 s, is too short on a busy machine."""

arguments = argparse.ArgumentParser()
arguments.add_argument("job", choices=MODELS)
arguments.add_argument("rounds", type=int)
arguments.add_argument("kit")
arguments.add_argument("sites", nargs="+")
arguments.add_argument("--numbers", type=int, default=1000)
arguments.add_argument("--dtype", default="float32")
arguments.add_argument("--format", default="numpy", help="numpy or pytorch")
chosen = arguments.parse_args()
MODELS["probe"]["args"] = {"count": chosen.numbers, "dtype": chosen.dtype}

recipe = FedAvgRecipe(
    name=chosen.job,
    model=MODELS[chosen.job],
    min_clients=len(chosen.sites),
    num_rounds=chosen.rounds,
    train_script=str(Path(__file__).with_name("stock_client.py")),
    train_args=f"--job {chosen.job} --sites {' '.join(chosen.sites)}",
    key_metric="own_accuracy" if chosen.job == "hospital" else "round",
    server_expected_format=chosen.format,
)
if chosen.job == "hospital":
    add_experiment_tracking(recipe, "tensorboard")
environment = ProdEnv(
    startup_kit_location=chosen.kit, username=Path(chosen.kit).name, login_timeout=LOGIN_SECONDS
)
run = recipe.execute(environment)
print("status:", run.get_status())
print("result:", run.get_result())

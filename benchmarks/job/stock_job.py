"""A job as in NVFlare's documentation: a recipe, executed in ProdEnv. Prints the path of its result.

`fibonacci` has the controller and executor of Flarefleet's job, which
check for answers more often than NVFlare.
"""

import argparse
from pathlib import Path

from nvflare.recipe import ProdEnv, add_experiment_tracking
from nvflare.recipe.spec import Recipe

MODELS = {
    "hospital": {
        "class_path": "fl_app.jobs.hospital.model.TumourClassifier",
        "args": {"hidden": 32, "seed": 0},
    },
    "probe": {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 1000}},
}


def fibonacci(sites: list[str], rounds: int) -> Recipe:
    """Return the recipe of a job without a model."""
    from nvflare.job_config.api import FedJob

    from fl_app.jobs.fibonacci.controller import FibonacciController
    from fl_app.jobs.fibonacci.site import TASK, FibonacciSite

    job = FedJob(name="fibonacci", min_clients=len(sites))
    job.to_server(FibonacciController(dict.fromkeys(sites, 10), rounds, timeout=60))
    for site in sites:
        job.to(FibonacciSite(), site, tasks=[TASK])
    return Recipe(job)


def fedavg(job: str, sites: list[str], rounds: int, exchanged: str) -> Recipe:
    """Return the recipe of a job that trains a model."""
    from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe

    return FedAvgRecipe(
        name=job,
        model=MODELS[job],
        min_clients=len(sites),
        num_rounds=rounds,
        train_script=str(Path(__file__).with_name("stock_client.py")),
        train_args=f"--job {job} --sites {' '.join(sites)}",
        key_metric="own_accuracy" if job == "hospital" else "round",
        server_expected_format=exchanged,
    )


arguments = argparse.ArgumentParser()
arguments.add_argument("job", choices=("fibonacci", *MODELS))
arguments.add_argument("rounds", type=int)
arguments.add_argument("kit", type=Path, help="the administrator's startup kit")
arguments.add_argument("sites", nargs="+")
arguments.add_argument("--numbers", type=int, default=1000)
arguments.add_argument("--dtype", default="float32")
arguments.add_argument("--format", default="numpy", help="of the model on the network: numpy or pytorch")
chosen = arguments.parse_args()
MODELS["probe"]["args"] = {"count": chosen.numbers, "dtype": chosen.dtype}

if chosen.job == "fibonacci":
    recipe = fibonacci(chosen.sites, chosen.rounds)
else:
    recipe = fedavg(chosen.job, chosen.sites, chosen.rounds, chosen.format)
if chosen.job == "hospital":
    add_experiment_tracking(recipe, "tensorboard")
kit = chosen.kit
environment = ProdEnv(startup_kit_location=str(kit), username=kit.name, login_timeout=60)
run = recipe.execute(environment)
print("status:", run.get_status())
print("result:", run.get_result())

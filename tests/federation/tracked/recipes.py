"""Tracked jobs: one for each recipe, with NVFlare's three own receivers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.federation.guarded_jobs import numpy_job, tracked, without_guard

HERE = Path(__file__).parent
CLIENT = str(HERE / "client.py")
ROUNDS = 2
SITES = 2


def numpy() -> Any:
    from nvflare.app_common.np.recipes import NumpyFedAvgRecipe

    _find_modules_here()
    from server_logger import ServerLogger

    recipe = NumpyFedAvgRecipe(
        name="numpy",
        model=[1.0, 2.0],
        min_clients=SITES,
        num_rounds=ROUNDS,
        train_script=CLIENT,
    )
    recipe._job.to_server(ServerLogger(), id="server_logger")
    return recipe


def pytorch() -> Any:
    from nvflare.app_opt.pt.recipes import FedAvgRecipe

    return FedAvgRecipe(name="pytorch", **_torch())


def fedprox() -> Any:
    from nvflare.app_opt.pt.recipes.fedprox import FedProxRecipe

    return FedProxRecipe(name="fedprox", fedprox_mu=0.1, **_torch())


def fedopt() -> Any:
    from nvflare.app_opt.pt.recipes import FedOptRecipe

    optimizer = {"path": "torch.optim.SGD", "args": {"lr": 1.0}}
    return FedOptRecipe(name="fedopt", device="cpu", optimizer_args=optimizer, **_torch())


def cyclic() -> Any:
    from nvflare.app_opt.pt.recipes.cyclic import CyclicRecipe

    return CyclicRecipe(name="cyclic", **_torch())


def flower() -> Any:
    from fl_app.jobs.flower_recipe import FlowerAppRecipe

    return FlowerAppRecipe(
        name="flower",
        app="tests.federation.tracked.flower_app",
        run_config={"rounds": ROUNDS},
        sites=[f"site-{number}" for number in range(1, SITES + 1)],
    )


RECIPES: dict[str, Callable[[], Any]] = {
    made.__name__: made for made in (numpy, pytorch, fedprox, fedopt, cyclic, flower)
}
IN_FLOWERS_ENVIRONMENT = ("flower",)
"""Recipes that need Flower in the federation."""


def parameter_twice(into: Path, mlflow: str, *, guard: bool) -> Path:
    """Export a job whose sites log a parameter twice to MLflow, with the kit's guard or without."""
    name = "parameter-twice" if guard else "stock-parameter-twice"
    recipe = numpy_job(name, "--parameter", train_script=CLIENT)
    tracked(recipe, "mlflow", tracking_uri=mlflow)
    if not guard:
        without_guard(recipe)
    recipe.export(str(into))
    return into / name


def export(name: str, into: Path, mlflow: str, wandb: Path) -> Path:
    """Export the job `name` with NVFlare's own receivers; return its folder."""
    from nvflare.recipe.utils import add_experiment_tracking

    recipe = RECIPES[name]()
    run = {"project": "tracked", "name": name, "group": "table", "job_type": "train", "dir": str(wandb)}
    add_experiment_tracking(recipe, "tensorboard")
    add_experiment_tracking(recipe, "mlflow", {"tracking_uri": mlflow})
    add_experiment_tracking(recipe, "wandb", {"mode": "offline", "wandb_args": run})
    recipe.export(str(into))
    return into / name


def _torch() -> dict[str, Any]:
    _find_modules_here()
    from model import Net

    return {"model": Net(), "min_clients": SITES, "num_rounds": ROUNDS, "train_script": CLIENT}


def _find_modules_here() -> None:
    """Import the modules of this folder by plain names, under which NVFlare packs them into the job."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))

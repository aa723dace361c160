"""The jobs of the guard's tests: each NVFlare's own recipe with a client that does one thing wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.apis.dxo import DataKind
from nvflare.app_common.np.recipes import NumpyFedAvgRecipe
from nvflare.app_opt.pt.recipes.cyclic import CyclicRecipe
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.app_opt.pt.recipes.fedopt import FedOptRecipe
from nvflare.app_opt.pt.recipes.scaffold import ScaffoldRecipe
from nvflare.client.config import ExchangeFormat, TransferType
from nvflare.recipe.spec import Recipe
from nvflare.recipe.utils import add_cross_site_evaluation, add_experiment_tracking

from fl_app.guard.component import JobGuard
from fl_app.jobs.tuning import APP_PACKAGES

CLIENT = Path(__file__).with_name("guarded_client.py")
MODEL = [[1.0, 2.0], [3.0, 4.0]]
TORCH_MODEL = {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 4}}
ROUNDS = 2
SITES = 2
CLOSED = 9
"""A port that nobody listens on."""

# Without config_type NVFlare would construct the optimizer itself, and fail for want of its parameters.
_SGD = {"path": "torch.optim.SGD", "args": {"lr": 1.0}, "config_type": "dict"}
_QUICK_SERVER = {"server": {"task_request_interval": 0.1}, "end_run_readiness_check_interval": 0.1}
_QUICK_SITE = {"default_task_fetch_interval": 0.1, "runner_sync_timeout": 1.0}


def numpy_job(name: str, client: str, **more: Any) -> Recipe:
    """Federated averaging of a NumPy array."""
    return _quick(
        NumpyFedAvgRecipe(
            **{"name": name, "min_clients": SITES, "num_rounds": ROUNDS, "model": MODEL, **more},
            train_script=str(CLIENT),
            train_args=client,
        )
    )


def torch_job(name: str, client: str, recipe: Callable[..., Recipe] = FedAvgRecipe, **more: Any) -> Recipe:
    """Federated training of a PyTorch model."""
    return _quick(
        recipe(
            name=name,
            min_clients=SITES,
            num_rounds=ROUNDS,
            model=TORCH_MODEL,
            train_script=str(CLIENT),
            train_args=client,
            **more,
        )
    )


def _quick(recipe: Recipe) -> Recipe:
    recipe.add_server_config(_QUICK_SERVER)
    recipe.add_client_config(_QUICK_SITE)
    # A copy of one file of the kit in a job would hide the rest of it where the kit is installed as editable.
    recipe._job.set_app_packages(APP_PACKAGES)
    return recipe


def guarded_by(recipe: Recipe, guard: JobGuard) -> Recipe:
    """With a guard of its own, which comes before the kit's."""
    recipe._job.to_server(guard, id="own_guard")
    recipe._job.to_clients(guard, id="own_guard")
    return recipe


def without_guard(recipe: Recipe) -> Recipe:
    """As NVFlare alone would run it."""
    return guarded_by(recipe, JobGuard(enabled=False))


def tracked(recipe: Recipe, kind: str = "tensorboard", **config: Any) -> Recipe:
    """With one of NVFlare's receivers."""
    add_experiment_tracking(recipe, kind, config)
    return recipe


def evaluated(recipe: Recipe) -> Recipe:
    """With NVFlare's cross-site evaluation at the end."""
    add_cross_site_evaluation(recipe)
    return recipe


def export(recipe: Recipe, into: Path) -> Path:
    """The job's folder."""
    recipe.export(str(into))
    return into / recipe.name


def forget_model(job: Path) -> Path:
    """Take the initial model out of a NumPy job, as a job made without a recipe may be."""
    file = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    for component in config["components"]:
        component["args"].pop("model", None)
    file.write_text(json.dumps(config))
    return job


def guarded(into: Path) -> dict[str, Path]:
    """Jobs that the guard must end, by the row of the table."""
    made = [
        numpy_job("nan", "--case nan --site site-2"),
        numpy_job("another-shape", "--case flat --site site-2"),
        numpy_job("all-another-shape", "--case flat"),
        numpy_job("more", "--case more --site site-2"),
        numpy_job("nothing", "--case nothing --site site-2"),
        numpy_job("other-metric", "--case other-metric"),
        numpy_job("large-integer", "--case large-integer --site site-2"),
        tracked(numpy_job("nothing-logged", "")),
        tracked(numpy_job("mlflow", "--log"), "mlflow", tracking_uri="file:///tmp/mlruns"),
        tracked(
            numpy_job("mlflow-out-of-reach", "--log"), "mlflow", tracking_uri=f"http://127.0.0.1:{CLOSED}"
        ),
        numpy_job("no-model", ""),
        torch_job("numpy-for-torch", "--case numpy"),
        evaluated(torch_job("no-evaluation", "--case no-evaluation --site site-2")),
    ]
    jobs = {recipe.name: export(recipe, into) for recipe in made}
    forget_model(jobs["no-model"])
    return jobs


def stock(into: Path, seen: Path) -> dict[str, Path]:
    """Jobs with the same failures and no guard; several in one where they do not hide each other."""
    made = [
        tracked(numpy_job("stock-careless", f"--case careless --site site-2 --seen {seen}")),
        numpy_job("stock-another-shape", "--case flat --site site-2"),
        numpy_job("stock-all-another-shape", "--case flat"),
        numpy_job("stock-nothing", "--case nothing --site site-2"),
        numpy_job("stock-large-integer", "--case large-integer --site site-2"),
        tracked(numpy_job("stock-mlflow", "--log"), "mlflow", tracking_uri="file:///tmp/mlruns"),
        torch_job("stock-numpy-for-torch", "--case numpy"),
        evaluated(torch_job("stock-no-evaluation", "--case no-evaluation --site site-2")),
    ]
    jobs = {recipe.name: export(without_guard(recipe), into) for recipe in made}
    forget_model(jobs["stock-all-another-shape"])
    return jobs


def sound(into: Path, seen: Path) -> dict[str, Path]:
    """Jobs that the guard must let pass."""
    made = [
        tracked(numpy_job("good", f"--log --seen {seen}")),
        numpy_job(
            "good-differences",
            "--difference",
            params_transfer_type=TransferType.DIFF,
            aggregator_data_kind=DataKind.WEIGHT_DIFF,
        ),
        evaluated(torch_job("good-evaluation", "", server_expected_format=ExchangeFormat.PYTORCH)),
        torch_job("good-cyclic", "", CyclicRecipe),
        torch_job("good-fedopt", "", FedOptRecipe, optimizer_args=_SGD),
        torch_job("good-scaffold", "--case scaffold", ScaffoldRecipe),
        torch_job(
            "good-offloaded",
            "",
            server_expected_format=ExchangeFormat.PYTORCH,
            enable_tensor_disk_offload=True,
        ),
    ]
    return {recipe.name: export(recipe, into) for recipe in made}

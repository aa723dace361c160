"""The jobs of the guard's tests: each NVFlare's own recipe with a client that does one thing wrong."""

from __future__ import annotations

import json
import shutil
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
from fl_app.jobs.recipe_defaults import APP_PACKAGES
from tests.federation import stock_flower_job

CLIENT = Path(__file__).with_name("guarded_client.py")
MODEL = [[1.0, 2.0], [3.0, 4.0]]
TORCH_MODEL = {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 4}}
ROUNDS = 2
SITES = 2
CLOSED = 9
"""A port that nobody listens on."""
TASK_TIMEOUT = 5.0
"""Seconds after which the test's own job gives up a site that is at work."""

# Without config_type NVFlare would construct the optimizer itself, and fail for want of its parameters.
_SGD = {"path": "torch.optim.SGD", "args": {"lr": 1.0}, "config_type": "dict"}
_WANDB = {
    "mode": "offline",
    "wandb_args": {"name": "run", "project": "guarded", "group": "guarded", "job_type": "training"},
}
_QUICK_SERVER = {"server": {"task_request_interval": 0.1}, "end_run_readiness_check_interval": 0.1}
_QUICK_SITE = {"default_task_fetch_interval": 0.1, "runner_sync_timeout": 1.0}


def numpy_job(name: str, client: str, **more: Any) -> Recipe:
    """Federated averaging of a NumPy array."""
    settings = {"min_clients": SITES, "num_rounds": ROUNDS, "model": MODEL, "train_script": str(CLIENT)}
    return _quick(NumpyFedAvgRecipe(**{"name": name, **settings, **more}, train_args=client))


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


def for_more_sites(job: Path, sites: int, **props: float) -> Path:
    """Let a job ask for more sites than there are, as NVFlare's own tools submit it.

    Args:
        props: its custom_props.
    """
    file = job / "meta.json"
    document = json.loads(file.read_text()) | {"min_clients": sites, "custom_props": props}
    file.write_text(json.dumps(document))
    return job


def name_no_run(job: Path) -> Path:
    """Take a name that W&B's receiver needs out of a job."""
    file = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    for component in config["components"]:
        component["args"].get("wandb_args", {}).pop("name", None)
    file.write_text(json.dumps(config))
    return job


def guarded(into: Path) -> dict[str, Path]:
    """Jobs that the guard must end, by the row of the table."""
    made = [
        numpy_job("nan", "--case nan --site site-2"),
        numpy_job("another-shape", "--case flat --site site-2"),
        numpy_job("all-another-shape", "--case flat"),
        numpy_job("more", "--case more --site site-2"),
        numpy_job("large", "--case large --site site-2"),
        numpy_job("nothing", "--case nothing --site site-2"),
        numpy_job("other-metric", "--metric val_acc"),
        numpy_job("large-integer", "--case large-integer --site site-2"),
        tracked(numpy_job("nothing-logged", "")),
        tracked(numpy_job("mlflow", "--log"), "mlflow", tracking_uri="file:///tmp/mlruns"),
        tracked(
            numpy_job("mlflow-out-of-reach", "--log"), "mlflow", tracking_uri=f"http://127.0.0.1:{CLOSED}"
        ),
        numpy_job("no-model", ""),
        torch_job("numpy-for-torch", "--case numpy"),
        evaluated(torch_job("no-evaluation", "--case no-evaluation --site site-2")),
        hanging("hanging"),
        hanging("hanging-process", train_script=_elsewhere(into), launch_external_process=True),
    ]
    jobs = {recipe.name: export(recipe, into) for recipe in made}
    forget_model(jobs["no-model"])
    return jobs


def refused(into: Path) -> dict[str, Path]:
    """Jobs that `flarefleet submit` must refuse, by the row of the table."""
    made = [
        tracked(numpy_job("refused-mlflow", "--log"), "mlflow", tracking_uri="file:///tmp/mlruns"),
        tracked(numpy_job("refused-wandb", "--log"), "wandb", **_WANDB),
        numpy_job("refused-no-model", ""),
    ]
    jobs = {recipe.name: export(recipe, into) for recipe in made}
    jobs["refused-flower"] = stock_flower_job.export(into, "refused-flower", guarded=True)
    name_no_run(jobs["refused-wandb"])
    forget_model(jobs["refused-no-model"])
    return jobs


def _elsewhere(folder: Path) -> str:
    """A copy of the client that is in no package: where NVFlare starts a process, it looks for no other."""
    folder.mkdir(exist_ok=True)
    return str(shutil.copy(CLIENT, folder))


def hanging(name: str, **more: Any) -> Recipe:
    """A script that hangs at one site, under a guard that waits for seconds."""
    recipe = numpy_job(name, "--case hanging --site site-2", **more)
    return guarded_by(recipe, JobGuard(task_timeout=TASK_TIMEOUT))


def stock(into: Path, seen: Path) -> dict[str, Path]:
    """Jobs with the same failures and no guard; several in one where they do not hide each other."""
    made = [
        tracked(numpy_job("stock-careless", f"--case careless --site site-2 --seen {seen}")),
        numpy_job("stock-another-shape", "--case flat --site site-2"),
        numpy_job("stock-all-another-shape", "--case flat"),
        numpy_job("stock-nothing", "--case nothing --site site-2 --metric val_acc"),
        numpy_job("stock-large-integer", "--case large-integer --site site-2"),
        tracked(
            tracked(numpy_job("stock-trackers", "--log"), "mlflow", tracking_uri="file:///tmp/mlruns"),
            "wandb",
            **_WANDB,
        ),
        torch_job("stock-numpy-for-torch", "--case numpy"),
        evaluated(torch_job("stock-no-evaluation", "--case no-evaluation --site site-2")),
    ]
    jobs = {recipe.name: export(without_guard(recipe), into) for recipe in made}
    forget_model(jobs["stock-all-another-shape"])
    name_no_run(jobs["stock-trackers"])
    return jobs


def endless(into: Path) -> dict[str, Path]:
    """Jobs without a guard that never end, or not for minutes."""
    made = [
        tracked(
            numpy_job("stock-mlflow-out-of-reach", "--log"),
            "mlflow",
            tracking_uri=f"http://127.0.0.1:{CLOSED}",
        ),
        numpy_job("stock-hanging", "--case hanging --site site-2"),
        numpy_job("stock-too-many-sites", ""),
    ]
    jobs = {recipe.name: export(without_guard(recipe), into) for recipe in made}
    for_more_sites(jobs["stock-too-many-sites"], SITES + 1, wait_for_sites=86400)
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

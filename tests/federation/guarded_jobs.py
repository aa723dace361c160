"""The jobs of the guard's tests: NVFlare's own recipes, with a client that fails in one way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
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
UNUSED_PORT = 9
TASK_TIMEOUT = 5.0
"""Seconds after which the guard of a test's job ends a stalled task."""

# Without config_type NVFlare would construct the optimizer itself, without its parameters.
_SGD = {"path": "torch.optim.SGD", "args": {"lr": 1.0}, "config_type": "dict"}
_WANDB = {
    "mode": "offline",
    "wandb_args": {"name": "run", "project": "guarded", "group": "guarded", "job_type": "training"},
}
_FAST_SERVER = {"server": {"task_request_interval": 0.1}, "end_run_readiness_check_interval": 0.1}
_FAST_SITE = {"default_task_fetch_interval": 0.1, "runner_sync_timeout": 1.0}


def numpy_job(name: str, client: str, **more: Any) -> Recipe:
    """Federated averaging of a NumPy array."""
    settings = {"min_clients": SITES, "num_rounds": ROUNDS, "model": MODEL, "train_script": str(CLIENT)}
    return _fast(NumpyFedAvgRecipe(**{"name": name, **settings, **more}, train_args=client))


def torch_job(name: str, client: str, recipe: Callable[..., Recipe] = FedAvgRecipe, **more: Any) -> Recipe:
    """Federated training of a PyTorch model."""
    settings = {"min_clients": SITES, "num_rounds": ROUNDS, "model": TORCH_MODEL, "train_script": str(CLIENT)}
    return _fast(recipe(name=name, **settings, **more, train_args=client))


def _fast(recipe: Recipe) -> Recipe:
    recipe.add_server_config(_FAST_SERVER)
    recipe.add_client_config(_FAST_SITE)
    # A copy of one file of the kit in a job would hide the others if the kit is an editable installation.
    recipe._job.set_app_packages(APP_PACKAGES)
    return recipe


def guarded_by(recipe: Recipe, guard: JobGuard) -> Recipe:
    """Add a guard that precedes the one of the kit."""
    recipe._job.to_server(guard, id="own_guard")
    recipe._job.to_clients(guard, id="own_guard")
    return recipe


def without_guard(recipe: Recipe) -> Recipe:
    """Run the job as NVFlare alone would."""
    return guarded_by(recipe, JobGuard(enabled=False))


def tracked(recipe: Recipe, kind: str = "tensorboard", **config: Any) -> Recipe:
    """Add one of NVFlare's receivers."""
    add_experiment_tracking(recipe, kind, config)
    return recipe


def with_evaluation(recipe: Recipe) -> Recipe:
    """Add NVFlare's cross-site evaluation at the end."""
    add_cross_site_evaluation(recipe)
    return recipe


def export(recipe: Recipe, into: Path) -> Path:
    """Write the job's folder."""
    recipe.export(str(into))
    return into / recipe.name


def for_more_sites(job: Path, sites: int, **props: float) -> Path:
    """Set the number of sites and custom_props in meta.json, as other tools than the kit do."""
    file = job / "meta.json"
    document = json.loads(file.read_text()) | {"min_clients": sites, "custom_props": props}
    file.write_text(json.dumps(document))
    return job


def _mlflow(name: str, uri: str) -> Recipe:
    return tracked(numpy_job(name, "--log"), "mlflow", tracking_uri=uri)


def _mlflow_folder(name: str) -> Recipe:
    return _mlflow(name, "file:///tmp/mlruns")


def _mlflow_unreachable(name: str) -> Recipe:
    return _mlflow(name, f"http://127.0.0.1:{UNUSED_PORT}")


def _hanging(name: str, **more: Any) -> Recipe:
    recipe = numpy_job(name, "--case hanging --site site-2", **more)
    return guarded_by(recipe, JobGuard(task_timeout=TASK_TIMEOUT))


def _hanging_process(name: str, folder: Path) -> Recipe:
    # A process that NVFlare starts cannot import a script from a package, so the script is copied.
    script = str(shutil.copy(CLIENT, folder))
    return _hanging(name, train_script=script, launch_external_process=True)


GUARDED: dict[str, Callable[[str, Path], Recipe]] = {
    "nan": lambda name, _: numpy_job(name, "--case nan --site site-2"),
    "another-shape": lambda name, _: numpy_job(name, "--case flat --site site-2"),
    "more": lambda name, _: numpy_job(name, "--case more --site site-2"),
    "large": lambda name, _: numpy_job(name, "--case large --site site-2"),
    "nothing": lambda name, _: numpy_job(name, "--case nothing --site site-2"),
    "other-metric": lambda name, _: numpy_job(name, "--metric val_acc"),
    "large-integer": lambda name, _: numpy_job(name, "--case large-integer --site site-2"),
    "nothing-logged": lambda name, _: tracked(numpy_job(name, "")),
    "mlflow-unreachable": lambda name, _: _mlflow_unreachable(name),
    "no-model": lambda name, _: numpy_job(name, ""),
    "numpy-for-torch": lambda name, _: torch_job(name, "--case numpy"),
    "no-evaluation": lambda name, _: with_evaluation(torch_job(name, "--case no-evaluation --site site-2")),
    "hanging": lambda name, _: _hanging(name),
    "hanging-process": _hanging_process,
}
"""Jobs that the guard must end."""

STOCK: dict[str, Callable[[str, Path], Recipe]] = {
    "stock-careless": lambda name, folder: tracked(
        numpy_job(name, f"--case careless --site site-2 --seen {folder}")
    ),
    "stock-another-shape": lambda name, _: numpy_job(name, "--case flat --site site-2"),
    "stock-all-another-shape": lambda name, _: numpy_job(name, "--case flat"),
    "stock-nothing": lambda name, _: numpy_job(name, "--case nothing --site site-2 --metric val_acc"),
    "stock-trackers": lambda name, _: tracked(_mlflow_folder(name), "wandb", **_WANDB),
    "stock-numpy-for-torch": lambda name, _: torch_job(name, "--case numpy"),
    "stock-no-evaluation": lambda name, _: with_evaluation(
        torch_job(name, "--case no-evaluation --site site-2")
    ),
}
"""Jobs with the same failures and without a guard; one job may show several failures."""

ENDLESS: dict[str, Callable[[str, Path], Recipe]] = {
    "stock-mlflow-unreachable": lambda name, _: _mlflow_unreachable(name),
    "stock-hanging": lambda name, _: numpy_job(name, "--case hanging --site site-2"),
    "stock-large-integer": lambda name, _: numpy_job(name, "--case large-integer --site site-2"),
    "stock-too-many-sites": lambda name, _: numpy_job(name, ""),
}
"""Jobs without a guard that never end, or only after minutes."""

VALID: dict[str, Callable[[str, Path], Recipe]] = {
    "good": lambda name, folder: tracked(numpy_job(name, f"--log --seen {folder}")),
    "good-differences": lambda name, _: numpy_job(
        name,
        "--difference",
        params_transfer_type=TransferType.DIFF,
        aggregator_data_kind=DataKind.WEIGHT_DIFF,
    ),
    "good-evaluation": lambda name, _: with_evaluation(
        torch_job(name, "", server_expected_format=ExchangeFormat.PYTORCH)
    ),
    "good-cyclic": lambda name, _: torch_job(name, "", CyclicRecipe),
    "good-fedopt": lambda name, _: torch_job(name, "", FedOptRecipe, optimizer_args=_SGD),
    "good-scaffold": lambda name, _: torch_job(name, "--case scaffold", ScaffoldRecipe),
    "good-offloaded": lambda name, _: torch_job(
        name, "", server_expected_format=ExchangeFormat.PYTORCH, enable_tensor_disk_offload=True
    ),
}
"""Jobs that the guard must not end."""

REJECTED: dict[str, Callable[[str, Path], Recipe]] = {
    "rejected-mlflow": lambda name, _: _mlflow_folder(name),
    "rejected-wandb": lambda name, _: tracked(numpy_job(name, "--log"), "wandb", **_WANDB),
    "rejected-no-model": lambda name, _: numpy_job(name, ""),
}
"""Jobs that `flarefleet submit` must reject; see also `REJECTED_FLOWER`."""

REJECTED_FLOWER = "rejected-flower"


def without_model(job: Path) -> Path:
    """Remove the initial model, which a job without a recipe may lack."""
    return _edit_arguments(job, lambda arguments: arguments.pop("model", None))


def without_run_name(job: Path) -> Path:
    """Remove an argument that W&B's receiver needs."""
    return _edit_arguments(job, lambda arguments: arguments.get("wandb_args", {}).pop("name", None))


def _edit_arguments(job: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    file = job / "app" / "config" / "config_fed_server.json"
    config = json.loads(file.read_text())
    for component in config["components"]:
        edit(component["args"])
    file.write_text(json.dumps(config))
    return job


_EDITS: dict[str, Callable[[Path], Path]] = {
    "no-model": without_model,
    "stock-all-another-shape": without_model,
    "rejected-no-model": without_model,
    "stock-trackers": without_run_name,
    "rejected-wandb": without_run_name,
    "stock-too-many-sites": lambda job: for_more_sites(job, SITES + 1, wait_for_sites=86400),
}


def write(names: Iterable[str], into: Path) -> dict[str, Path]:
    """Write the folders of these jobs; each job has a folder `into`/data/NAME for its own files."""
    jobs = {}
    for name in names:
        if name == REJECTED_FLOWER:
            jobs[name] = stock_flower_job.export(into, name, guarded=True)
            continue
        data = into / "data" / name
        data.mkdir(parents=True)
        recipe = (GUARDED | STOCK | ENDLESS | VALID | REJECTED)[name](name, data)
        if name in STOCK | ENDLESS:
            recipe = without_guard(recipe)
        jobs[name] = _EDITS.get(name, lambda job: job)(export(recipe, into))
    return jobs

"""Recipes of NVFlare for the guard's tests, with a client that fails as its arguments say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nvflare.app_common.np.recipes import NumpyFedAvgRecipe
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe.spec import Recipe
from nvflare.recipe.utils import add_cross_site_evaluation, add_experiment_tracking

from fl_app.guard.component import JobGuard
from fl_app.jobs.recipe_defaults import APP_PACKAGES

CLIENT = Path(__file__).with_name("guarded_client.py")
PARTS = Path(__file__).with_name("guarded_parts")
"""Modules that NVFlare packs into a job under their plain names."""
MODEL = [[1.0, 2.0], [3.0, 4.0]]
TORCH_MODEL = {"class_path": "fl_app.jobs.probe.model.Numbers", "args": {"count": 4}}
ROUNDS = 2
SITES = 2

_FAST_SERVER = {"server": {"task_request_interval": 0.1}, "end_run_readiness_check_interval": 0.1}
_FAST_SITE = {"default_task_fetch_interval": 0.1, "runner_sync_timeout": 1.0}


def numpy_job(name: str, client: str, **more: Any) -> Recipe:
    """Federated averaging of a NumPy array."""
    settings = {"min_clients": SITES, "num_rounds": ROUNDS, "model": MODEL, "train_script": str(CLIENT)}
    return _fast(NumpyFedAvgRecipe(**{"name": name, **settings, **more}, train_args=client))


def torch_job(name: str, client: str, recipe: Callable[..., Recipe] = FedAvgRecipe, **more: Any) -> Recipe:
    """Federated training of a PyTorch model."""
    settings = {"min_clients": SITES, "num_rounds": ROUNDS, "model": TORCH_MODEL, "train_script": str(CLIENT)}
    return _fast(recipe(**{"name": name, **settings, **more}, train_args=client))


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
    return with_meta(job, min_clients=sites, custom_props=props)


def with_meta(job: Path, **entries: object) -> Path:
    """Set entries of meta.json."""
    file = job / "meta.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))
    return job


def find_parts() -> None:
    """Make the modules of `PARTS` importable."""
    if str(PARTS) not in sys.path:
        sys.path.append(str(PARTS))

"""The examples: NVFlare's own recipes with made-up data."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from example_jobs.collaboration import Server, Site
from example_jobs.model import Classifier
from example_jobs.patient_statistics import PatientStatistics
from example_jobs.survival import SurvivalCurve
from nvflare.app_common.np.recipes import NumpyFedAvgRecipe
from nvflare.app_common.np.recipes.cross_site_eval import NumpyCrossSiteEvalRecipe
from nvflare.app_common.np.recipes.lr.fedavg import FedAvgLrRecipe
from nvflare.app_opt.pt.recipes.cyclic import CyclicRecipe
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.app_opt.pt.recipes.fedce import FedCERecipe
from nvflare.app_opt.pt.recipes.fedeval import FedEvalRecipe
from nvflare.app_opt.pt.recipes.fedopt import FedOptRecipe
from nvflare.app_opt.pt.recipes.fedprox import FedProxRecipe
from nvflare.app_opt.pt.recipes.scaffold import ScaffoldRecipe
from nvflare.app_opt.pt.recipes.swarm import SwarmLearningRecipe
from nvflare.app_opt.sklearn.recipes import KMeansFedAvgRecipe, SklearnFedAvgRecipe, SVMFedAvgRecipe
from nvflare.collab.recipe import CollabRecipe
from nvflare.fuel.utils.constants import FrameworkType
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import ScriptRunner
from nvflare.recipe.fed_task import FedTaskRecipe
from nvflare.recipe.fedstats import FedStatsRecipe
from nvflare.recipe.spec import Recipe
from nvflare.recipe.utils import add_cross_site_evaluation, add_experiment_tracking

FOLDER = Path(__file__).parent
Example = Callable[[str, Sequence[str], Path], Recipe]
"""Makes a recipe from its name, the sites and a folder for files that exist before the job."""

ROUNDS = 2
_MODEL = {"class_path": "example_jobs.model.Classifier", "args": {}}
# Without config_type NVFlare would construct the optimizer itself, without its parameters.
_SGD = {"path": "torch.optim.SGD", "args": {"lr": 1.0}, "config_type": "dict"}


def script(name: str) -> str:
    """Return the client script of an example."""
    return str(FOLDER / f"{name}_client.py")


def numpy_job(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Federated averaging of an array; `key_metric` is the default, which the client does not return."""
    return NumpyFedAvgRecipe(
        name=name,
        model=[[1.0, 2.0], [3.0, 4.0]],
        min_clients=len(sites),
        num_rounds=ROUNDS,
        train_script=script("numpy"),
    )


def numpy_evaluated(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """The same with cross-site evaluation."""
    recipe = numpy_job(name, sites, folder)
    add_cross_site_evaluation(recipe)
    return recipe


def evaluation_alone(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Cross-site evaluation of a model on the server's disk, without training."""
    np.save(folder / "server.npy", np.ones((2, 2)))
    return NumpyCrossSiteEvalRecipe(
        name=name, min_clients=len(sites), model_dir=str(folder), model_name={"server": "server.npy"}
    )


def torch_job(
    recipe: Callable[..., Recipe] = FedAvgRecipe, algorithm: str = "fedavg", **more: object
) -> Example:
    """Return an example that trains the classifier."""

    def make(name: str, sites: Sequence[str], folder: Path) -> Recipe:
        settings = {"model": _MODEL, "num_rounds": ROUNDS, "train_script": script("torch")}
        arguments = f"--algorithm {algorithm}"
        return recipe(name=name, min_clients=len(sites), train_args=arguments, **settings | more)

    return make


def torch_evaluated(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """hello-pt: with TensorBoard and cross-site evaluation."""
    recipe = torch_job()(name, sites, folder)
    add_experiment_tracking(recipe, "tensorboard")
    add_cross_site_evaluation(recipe)
    return recipe


def external_process(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """hello-pt in a process that NVFlare starts, with the script at the top of the job's code."""
    copied = shutil.copy(script("torch"), folder)
    options = {
        "launch_external_process": True,
        "command": f"{sys.executable} -u",
        "train_script": str(copied),
    }
    return torch_job(**options)(name, sites, folder)


def swarm(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Swarm learning with cross-site evaluation; the server never has the model."""
    return SwarmLearningRecipe(
        name=name,
        model=_MODEL,
        num_rounds=ROUNDS,
        train_script=script("torch"),
        min_clients=len(sites),
        do_cross_site_eval=True,
    )


def evaluation_of_torch(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Evaluation of a PyTorch model on the server's disk."""
    file = folder / "trained.pt"
    torch.save({"model": Classifier().state_dict()}, file)
    return FedEvalRecipe(
        name=name,
        model=_MODEL,
        eval_ckpt=str(file),
        min_clients=len(sites),
        eval_script=script("torch"),
    )


def sklearn_job(kind: str, recipe: Callable[..., Recipe], **more: object) -> Example:
    """Return an example of scikit-learn."""

    def make(name: str, sites: Sequence[str], folder: Path) -> Recipe:
        return recipe(
            name=name, min_clients=len(sites), train_script=script("sklearn"), train_args=kind, **more
        )

    return make


def logistic(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Logistic regression by Newton's method: sites return a gradient and a Hessian."""
    return FedAvgLrRecipe(
        name=name, min_clients=len(sites), num_rounds=ROUNDS, num_features=4, train_script=script("logistic")
    )


def statistics(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Federated statistics with NVFlare's privacy filters."""
    configs = {
        "count": {}, "mean": {}, "sum": {}, "stddev": {},
        "histogram": {"*": {"bins": 4, "range": [20, 80]}},
    }  # fmt: skip
    return FedStatsRecipe(
        name=name,
        stats_output_path="statistics.json",
        sites=list(sites),
        statistic_configs=configs,
        stats_generator=PatientStatistics(),
        max_bins_percent=20,
    )


def task(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """One task without a model."""
    return FedTaskRecipe(
        name=name, min_clients=len(sites), task_data={"scale": 2}, task_script=script("task")
    )


def survival(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Kaplan-Meier curve without encryption."""
    job = FedJob(name=name, min_clients=len(sites))
    job.to_server(SurvivalCurve())
    job.to_clients(ScriptRunner(script=script("survival"), framework=FrameworkType.RAW), tasks=["train"])
    return Recipe(job)


def collaboration(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """hello-collab."""
    return CollabRecipe(job_name=name, server=Server(), client=Site(), min_clients=len(sites))


EXAMPLES: dict[str, Example] = {
    "hello-numpy": numpy_job,
    "hello-numpy-evaluated": numpy_evaluated,
    "hello-numpy-evaluation": evaluation_alone,
    "hello-pt": torch_evaluated,
    "hello-pt-external": external_process,
    "hello-cyclic": torch_job(CyclicRecipe),
    "swarm": swarm,
    "fedopt": torch_job(FedOptRecipe, optimizer_args=_SGD),
    "fedprox": torch_job(FedProxRecipe, "fedprox"),
    "scaffold": torch_job(ScaffoldRecipe, "scaffold"),
    "fedce": torch_job(FedCERecipe, "fedce", trainable_param_names=["hidden.weight", "output.weight"]),
    "fedeval": evaluation_of_torch,
    "sklearn-linear": sklearn_job(
        "linear", SklearnFedAvgRecipe, num_rounds=ROUNDS, model_params={"n_classes": 2}
    ),
    "sklearn-kmeans": sklearn_job("kmeans", KMeansFedAvgRecipe, num_rounds=ROUNDS, n_clusters=2),
    "sklearn-svm": sklearn_job("svm", SVMFedAvgRecipe),
    "logistic-regression": logistic,
    "statistics": statistics,
    "task": task,
    "kaplan-meier": survival,
    "hello-collab": collaboration,
}
"""Every example that runs here, by name."""

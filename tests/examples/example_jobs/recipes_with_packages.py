"""The examples that need packages which requirements/dev.txt lacks; they run in .venv-examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from example_jobs.patient_ids import PatientIds
from example_jobs.patient_trees import PatientTrees
from example_jobs.recipes import ROUNDS, Example, script
from nvflare.app_common.psi.recipes.dh_psi import DhPSIRecipe
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.app_opt.pt.recipes.fedavg_he import FedAvgRecipeWithHE
from nvflare.app_opt.xgboost.recipes import XGBBaggingRecipe, XGBHorizontalRecipe, XGBVerticalRecipe
from nvflare.recipe import set_per_site_config
from nvflare.recipe.spec import Recipe

_TREES = {"max_depth": 3, "eta": 0.5, "objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}


def lightning(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Federated averaging of a module of PyTorch Lightning."""
    return FedAvgRecipe(
        name=name,
        model={"class_path": "example_jobs.lightning_model.LightningClassifier", "args": {}},
        min_clients=len(sites),
        num_rounds=ROUNDS,
        train_script=script("lightning"),
    )


def trees(recipe: Callable[..., Recipe], **more: object) -> Example:
    """Return an example of XGBoost."""

    def make(name: str, sites: Sequence[str], folder: Path) -> Recipe:
        made = recipe(name=name, min_clients=len(sites), num_rounds=ROUNDS, **more)
        set_per_site_config(made, {site: {"data_loader": PatientTrees()} for site in sites})
        return made

    return make


def intersection(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Private set intersection by Diffie-Hellman; each site writes what all sites have."""
    return DhPSIRecipe(name=name, min_clients=len(sites), local_psi=PatientIds())


def encrypted(name: str, sites: Sequence[str], folder: Path) -> Recipe:
    """Federated averaging with homomorphic encryption; sites write the decrypted model of the third round."""
    return FedAvgRecipeWithHE(
        name=name,
        model={"class_path": "example_jobs.model.Classifier", "args": {}},
        min_clients=len(sites),
        num_rounds=3,
        train_script=script("encrypted"),
    )


EXAMPLES: dict[str, Example] = {
    "lightning": lightning,
    "xgboost-bagging": trees(XGBBaggingRecipe, local_subsample=1.0, max_depth=3, nthread=1),
    "xgboost-horizontal": trees(XGBHorizontalRecipe, xgb_params=_TREES),
    "xgboost-vertical": trees(XGBVerticalRecipe, label_owner="site-1", xgb_params=_TREES),
    "homomorphic-encryption": encrypted,
    "private-set-intersection": intersection,
}
"""Every example that needs .venv-examples, by name."""

"""The recipe of NumPy jobs whose sites run an `ArrayTraining` in place of a script."""

from __future__ import annotations

from typing import Any

from nvflare.app_common.np.recipes.fedavg import NumpyFedAvgRecipe

from fl_app.jobs.recipe_defaults import SiteTrainingRecipe


class ArrayTrainingRecipe(SiteTrainingRecipe, NumpyFedAvgRecipe):
    """Federated averaging of an array; see `SiteTrainingRecipe`.

    Raises:
        ValueError: `model` is None.
    """

    def __init__(self, *, model: Any, **arguments: Any) -> None:
        if model is None:
            raise ValueError("model is required: without one, NVFlare trains a 3x3 array of its own")
        super().__init__(model=model, **arguments)

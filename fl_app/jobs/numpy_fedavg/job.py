"""The job `numpy-fedavg`: federated averaging of a NumPy array with the user's own training script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fl_app.jobs.numpy_fedavg.parameters import NumpyFedAvgParameters
from fl_app.jobs.parameters import require_sites

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

DESCRIPTION = "Federated averaging of a NumPy array with a training script of your own, or the example's"
NEEDS = {"numpy": "flarefleet[jobs]"}
WARM_UP = ("fl_app.jobs.numpy_fedavg.recipe",)
PARAMETERS = NumpyFedAvgParameters


def recipe(parameters: NumpyFedAvgParameters, sites: Sequence[str]) -> Recipe:
    """Make the recipe for these sites.

    Raises:
        ValueError: min_clients or quorum exceeds the number of sites, a parameter names a site that does not
            take part, or the aggregator is invalid.
    """
    from fl_app.jobs.numpy_fedavg.recipe import NumpyRecipe

    require_sites("per_site", parameters.per_site, sites)
    require_sites("aggregation_weights", parameters.aggregation_weights, sites)
    if parameters.min_clients and parameters.min_clients > len(sites):
        raise ValueError(
            f"min_clients={parameters.min_clients} exceeds the {len(sites)} sites: {', '.join(sites)}"
        )
    return NumpyRecipe(parameters, sites)

"""The recipe of the job `fibonacci`: a controller and an executor, without a model."""

from __future__ import annotations

from nvflare.job_config.api import FedJob
from nvflare.recipe.spec import Recipe

from fl_app.jobs.fibonacci.controller import FibonacciController
from fl_app.jobs.fibonacci.site import TASK, FibonacciSite
from fl_app.jobs.tuning import tune


class FibonacciRecipe(Recipe):
    """Every site of `levels` computes its sum in every round.

    Args:
        levels: each site's level, by the site's name.
        rounds: how often.
        timeout: seconds for a round.
    """

    def __init__(self, *, levels: dict[str, int], rounds: int, timeout: int) -> None:
        job = FedJob(name="fibonacci", min_clients=len(levels))
        job.to_server(FibonacciController(levels=levels, rounds=rounds, timeout=timeout))
        job.to_clients(FibonacciSite(), tasks=[TASK])
        super().__init__(job)
        tune(self, len(levels))

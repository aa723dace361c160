"""Sites of the job `chaos` whose training runs in the job process."""

from __future__ import annotations

import time

import numpy as np

from chaos_job.training import examples, report, trained
from fl_app.jobs.training import ArrayTraining, LocalResult, Round, Site, SiteTraining, Weights


class TorchChaos(SiteTraining):
    """One site with a model of one tensor.

    Args:
        sites: names of all sites.
        seconds: duration of a round.
    """

    def __init__(self, sites: list[str], seconds: float) -> None:
        super().__init__()
        self.sites = sites
        self.seconds = seconds
        self._site: Site | None = None

    def begin(self, site: Site) -> None:
        """Remember the site."""
        self._site = site

    def train(self, weights: Weights, round: Round) -> LocalResult:
        """Train one round."""
        assert self._site is not None
        started, position = time.time(), self._site.position_among(self.sites)
        ((name, received),) = weights.items()
        after = self._like(trained(received, position, round.number))
        time.sleep(self.seconds)
        self.log("round", round.number, step=round.number)
        report(self._site.job_id, self._site.name, round.number, started, received)
        return LocalResult({name: after}, examples=examples(position), metrics={"round": float(round.number)})

    def _like(self, array: np.ndarray) -> object:
        import torch

        return torch.from_numpy(array)


class ArrayChaos(TorchChaos, ArrayTraining):
    """One site with a NumPy array."""

    def _like(self, array: np.ndarray) -> object:
        return array

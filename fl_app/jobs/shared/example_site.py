"""The base class of the sites of Flarefleet's example jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fl_app.jobs.training import Site, SiteTraining, Weights


class ExampleSite(SiteTraining):
    """A site whose data depend on its position among the job's sites.

    Args:
        sites: names of all sites.
        parameters: parameters of the job.
    """

    def __init__(self, sites: list[str], parameters: dict[str, Any]) -> None:
        super().__init__()
        self.sites = sites
        self.parameters = parameters

    def begin(self, site: Site) -> None:
        """Find the position of the site, and let torch use one thread."""
        import torch

        torch.set_num_threads(1)  # small steps gain nothing from more threads, and sites may share a machine
        self._index = site.position_among(self.sites)

    def log_all(self, metrics: Mapping[str, float], step: int) -> None:
        """Log several scalars, by tag."""
        for tag, value in metrics.items():
            self.log(tag, value, step)


def weights_of(model: Any) -> Weights:
    """Return copies of a PyTorch model's weights, on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}

"""A recipe for a Flower app that is part of the image; building the job needs no Flower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.app_common.widgets.convert_to_fed_event import ConvertToFedEvent
from nvflare.job_config.api import FedJob
from nvflare.recipe.spec import Recipe

from fl_app.contract import installed_version
from fl_app.flower.environment import version_error
from fl_app.flower.metrics import FlowerServerMetrics, FlowerSiteMetrics
from fl_app.flower.server import FlowerServer
from fl_app.flower.site import FlowerSite
from fl_app.jobs.recipe_defaults import apply_defaults


class FlowerAppRecipe(Recipe):
    """A Flower app as a job.

    Args:
        name: name of the job.
        app: Python package whose folder is the Flower app; code of the image.
        run_config: values that override the app's configuration.
        sites: sites that take part.

    Raises:
        ValueError: an unsupported Flower is installed, which a federation on this machine would use, too.
    """

    def __init__(
        self, *, name: str, app: str, run_config: Mapping[str, str | int | float | bool], sites: Sequence[str]
    ) -> None:
        installed = installed_version("flwr")
        if installed and (error := version_error(installed)):
            raise ValueError(error)
        job = FedJob(name=name, min_clients=len(sites))
        job.to_server(FlowerServer(app=app, run_config=dict(run_config)))
        job.to_server(FlowerServerMetrics(), id="metric_relay")
        job.to_clients(FlowerSite(app=app))
        job.to_clients(FlowerSiteMetrics(), id="metric_relay")
        job.to_clients(ConvertToFedEvent([ANALYTIC_EVENT_TYPE]), id="event_to_fed")
        super().__init__(job)
        self.name = name
        apply_defaults(self, len(sites))

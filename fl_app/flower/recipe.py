"""A recipe for a Flower app that every image has. It needs no Flower where the job is put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nvflare.apis.analytix import ANALYTIC_EVENT_TYPE
from nvflare.app_common.widgets.convert_to_fed_event import ConvertToFedEvent
from nvflare.job_config.api import FedJob
from nvflare.recipe.spec import Recipe

from fl_app.flower.environment import installed, what_is_wrong
from fl_app.flower.metrics import ServerMetrics, SiteMetrics
from fl_app.flower.server import FlowerServer
from fl_app.flower.site import FlowerSite
from fl_app.jobs.recipe_defaults import apply_defaults


class FlowerAppRecipe(Recipe):
    """A Flower app as a job.

    Args:
        name: the job's.
        app: the Python package whose folder is the app, as `flwr run` takes it; code of the image.
        run_config: what the app's configuration gets instead of its own values.
        sites: the sites that take part.

    Raises:
        ValueError: there is a Flower here, and it is none that works: that of the federation on this machine
            would be the same.
    """

    def __init__(
        self, *, name: str, app: str, run_config: Mapping[str, str | int | float | bool], sites: Sequence[str]
    ) -> None:
        found = installed()
        if found and (wrong := what_is_wrong(found)):
            raise ValueError(wrong)
        job = FedJob(name=name, min_clients=len(sites))
        job.to_server(FlowerServer(app=app, run_config=dict(run_config)))
        job.to_server(ServerMetrics(), id="metric_relay")
        job.to_clients(FlowerSite(app=app))
        job.to_clients(SiteMetrics(), id="metric_relay")
        job.to_clients(ConvertToFedEvent([ANALYTIC_EVENT_TYPE]), id="event_to_fed")
        super().__init__(job)
        self.name = name
        apply_defaults(self, len(sites))

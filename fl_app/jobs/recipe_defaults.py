"""Settings that all recipes of Flarefleet share: polling intervals, the guard, and packages of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fl_app.guard.component import JobGuard
from fl_app.jobs.parameters import QUORUM_GRACE_SECONDS
from fl_app.nvflare_internals.recipes import FedAvgHooks, add_to_every_app, exclude_packages
from fl_app.nvflare_internals.task_requests import task_request_interval

if TYPE_CHECKING:
    from nvflare.recipe.spec import Recipe

    from fl_app.jobs.training import SiteTraining

TASK_CHECK_PERIOD = 0.05
"""Seconds between two checks by the server's controller whether all sites have answered."""

END_CHECK_PERIOD = 0.1
"""Seconds between two checks, at the end of a job, whether all metrics and logs were sent and processed."""

RUNNER_SYNC_TIMEOUT = 1.0
"""Seconds (2 in NVFlare) after which a site asks again whether the server's job process has started."""

MAX_RUNNER_SYNC = 600.0
"""Seconds (60 in NVFlare) until the server's job process must have started: it may load a large model."""

GUARD_ID = "job_guard"

APP_PACKAGES = ["fl_app"]
"""Packages of every image. A job that carried a copy would need the right to bring its own code."""


def apply_defaults(recipe: Recipe, sites: int) -> None:
    """Apply Flarefleet's settings to a recipe, and add the guard.

    Each startup kit also adds the guard to every job; jobs in NVFlare's simulator have only this one.

    Args:
        recipe: any NVFlare recipe, before its export.
        sites: the number of participating sites.
    """
    recipe.add_server_config(
        {
            "server": {"task_request_interval": task_request_interval(sites)},
            "end_run_readiness_check_interval": END_CHECK_PERIOD,
        }
    )
    recipe.add_client_config(
        {
            "default_task_fetch_interval": task_request_interval(sites),
            "runner_sync_timeout": RUNNER_SYNC_TIMEOUT,
            "max_runner_sync_timeout": MAX_RUNNER_SYNC,
            "end_run_readiness_check_interval": END_CHECK_PERIOD,
        }
    )
    add_to_every_app(recipe, JobGuard, GUARD_ID)
    exclude_packages(recipe, APP_PACKAGES)


class QuorumRecipe(FedAvgHooks):
    """A FedAvg recipe of NVFlare whose rounds may do without some sites; see `fl_app.jobs.shared.quorum`.

    A mixin: name it before NVFlare's recipe among the bases, and set the attributes before calling NVFlare's
    constructor, with the quorum as `min_clients`.
    """

    quorum: int = 0
    """Number of results that end a round; 0 for those of all sites."""
    quorum_grace: float = QUORUM_GRACE_SECONDS
    """Seconds for which the round then waits for the other sites."""

    def adapted(self, fedavg: Any) -> Any:
        """Return NVFlare's controller, with the quorum if there is one."""
        from fl_app.jobs.shared.quorum import QuorumFedAvg

        return QuorumFedAvg.like(fedavg, self.quorum, self.quorum_grace) if self.quorum else fedavg


class SiteTrainingRecipe(QuorumRecipe):
    """Federated averaging whose sites run a `SiteTraining` in place of a script.

    A mixin: name it before NVFlare's recipe among the bases.

    Args:
        training: what each site runs.
        sites: the participating sites; all of them train in every round.
        controller: runs at the server in place of NVFlare's FedAvg; it must load and save the model with the
            component `persistor`.
        quorum: number of results that end a round, and of sites that the job needs to start; 0 for all
            sites. A `controller` of your own must have it, too: see `fl_app.jobs.shared.quorum`.
        quorum_grace: seconds for which a round that has its quorum waits for the other sites.
        fedavg: further arguments of NVFlare's recipe (name, model, num_rounds, key_metric...).
    """

    task_check_period = TASK_CHECK_PERIOD

    def __init__(
        self,
        *,
        training: SiteTraining,
        sites: Sequence[str],
        controller: Any = None,
        quorum: int = 0,
        quorum_grace: float = QUORUM_GRACE_SECONDS,
        **fedavg: Any,
    ) -> None:
        self.executor = training
        self.controller = controller
        self.quorum, self.quorum_grace = quorum, quorum_grace
        super().__init__(train_script="", min_clients=quorum or len(sites), **fedavg)  # type: ignore[call-arg]
        apply_defaults(self, len(sites))

"""Private methods of NVFlare's recipes and of its FedAvg controller, behind names of our own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvflare.apis.executor import Executor
    from nvflare.app_common.abstract.fl_model import FLModel
    from nvflare.recipe.spec import Recipe

USES = {
    "nvflare.recipe.spec:Recipe._add_to_client_apps": "adds a component to every client app",
    "nvflare.recipe.fedavg:FedAvgRecipe._get_controller_kwargs": "sets task_check_period",
    "nvflare.recipe.fedavg:FedAvgRecipe._create_controller": "replaces the controller",
    "nvflare.recipe.fedavg:FedAvgRecipe._prepare_client_apps": "replaces the script runner",
    "nvflare.app_common.workflows.fedavg:FedAvg._aggregate_one_result": (
        "checks a site's result before it is averaged"
    ),
}
"""Besides these: `Recipe._job`, an attribute that its constructor sets."""


class FedAvgHooks:
    """Set the executor, the controller and the polling interval of an NVFlare FedAvg recipe.

    A mixin: name it before NVFlare's recipe among the bases, and set the attributes before calling NVFlare's
    constructor.
    """

    executor: Executor | None = None
    """Runs at the sites; None for NVFlare's runner of the training script."""
    controller: Any = None
    """Runs at the server; None for NVFlare's FedAvg. NVFlare's PyTorch persistor has the id `persistor`."""
    task_check_period: float = 0.5
    """Seconds between two checks by NVFlare's FedAvg whether all sites have answered."""

    def _prepare_client_apps(self) -> None:
        if self.executor is None:
            super()._prepare_client_apps()  # type: ignore[misc] # defined by NVFlare's recipe
        else:
            self._job.to_clients(self.executor, tasks=["train"])  # type: ignore[attr-defined]

    def _get_controller_kwargs(self) -> dict[str, Any]:
        inherited = super()._get_controller_kwargs()  # type: ignore[misc]
        return {**inherited, "task_check_period": self.task_check_period}

    def _create_controller(self, *args: Any, **kwargs: Any) -> Any:
        if self.controller is not None:
            return self.controller
        return self.adapted(super()._create_controller(*args, **kwargs))  # type: ignore[misc]

    def adapted(self, fedavg: Any) -> Any:
        """Return the controller that runs in place of NVFlare's FedAvg."""
        return fedavg


class ResultHook:
    """Call `add_result` for each result that NVFlare's FedAvg controller receives.

    A mixin: name it before the controller among the bases.
    """

    def add_result(self, result: FLModel) -> bool:
        """Add one site's result to the average; return whether it was added."""
        return bool(super()._aggregate_one_result(result))  # type: ignore[misc]

    def _aggregate_one_result(self, result: FLModel) -> bool:
        return self.add_result(result)


def add_to_every_app(recipe: Recipe, make_component: type, component_id: str) -> None:
    """Add a component to the server's app and to every client app, one instance each."""
    recipe._job.to_server(make_component(), id=component_id)
    recipe._add_to_client_apps(make_component(), id=component_id)


def exclude_packages(recipe: Recipe, packages: Sequence[str]) -> None:
    """Keep these packages out of the exported job: every participant has them installed."""
    recipe._job.set_app_packages(list(packages))

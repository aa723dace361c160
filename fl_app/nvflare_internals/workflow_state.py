"""State between the rounds of NVFlare's workflows, and the order in which NVFlare adds up results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USES = {
    "nvflare.private.fed.server.server_runner:ServerRunner.current_wf_index": "start with a later workflow",
    "nvflare.app_common.workflows.scatter_and_gather:ScatterAndGather._current_round": "later start",
    "nvflare.app_common.workflows.scatter_and_gather:ScatterAndGather._start_round": "number of rounds",
    "nvflare.app_common.workflows.scatter_and_gather:ScatterAndGather._num_rounds": "number of rounds",
    "nvflare.app_common.workflows.scatter_and_gather:ScatterAndGather._global_weights": "global model",
    "nvflare.app_common.workflows.cyclic_ctl:CyclicController._start_round": "start with a later round",
    "nvflare.app_common.workflows.cyclic_ctl:CyclicController._end_round": "number of rounds",
    "nvflare.app_common.workflows.cyclic_ctl:CyclicController._last_learnable": "global model",
    "nvflare.app_common.workflows.cyclic_ctl:CyclicController._last_client": "order of the next round",
    "nvflare.app_common.workflows.cyclic_ctl:CyclicController._participating_clients": (
        "order of the next round"
    ),
    "nvflare.app_common.workflows.scaffold:Scaffold._global_ctrl_weights": "control variates of SCAFFOLD",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._has_metrics": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._final_round": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._final_aggregated_metrics": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._best_selection": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._key_metric": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._aggregation": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._metric_source": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._metric_split": "summary of metrics",
    "nvflare.app_common.widgets.metrics_artifact_writer:"
    "MetricsArtifactWriter._custom_aggregator_no_metric_rounds": "summary of metrics",
}


class ResumedStart(int):
    """`start_round` of a workflow that goes on with a later round.

    NVFlare's workflows run `range(start_round, start_round + num_rounds)` and tell the sites `num_rounds`.
    The sum is the end that it was before, so the number of rounds of the job needs no change.
    """

    _first: int

    def __new__(cls, first: int, next_round: int) -> ResumedStart:
        """Return the start that goes on with `next_round` of a workflow whose first round was `first`."""
        start = super().__new__(cls, next_round)
        start._first = first
        return start

    def __add__(self, other: int) -> int:
        """Return the end of the workflow, for its number of rounds."""
        return self._first + other

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Copy as a plain integer: users' controllers copy the model, which has the start round."""
        return int, (int(self),)


def start_averaging_at(controller: Any, next_round: int) -> None:
    """Let a controller that sends an FLModel go on with a round, from 0.

    The controller gives its `start_round` to the model, which sites receive and FedAvg may save. Before each
    task it passes the model to `set_fl_context`: the model gets the start round of an undisturbed job there.
    """
    first, set_fl_context = int(controller.start_round), controller.set_fl_context

    def correct(data: Any) -> None:
        if data is not None:
            data.start_round = first
        set_fl_context(data)

    controller.start_round = ResumedStart(first, next_round)
    controller.set_fl_context = correct


def runner_of(engine: Any) -> Any:
    """Return NVFlare's runner of the job among the engine's handlers; None before it exists."""
    from nvflare.private.fed.server.server_runner import ServerRunner

    handlers = getattr(getattr(engine, "run_manager", None), "handlers", ())
    return next((handler for handler in handlers if isinstance(handler, ServerRunner)), None)


def workflow_index(runner: Any) -> int:
    """Return the position of the workflow that runs or starts."""
    return int(runner.current_wf_index)


def workflow_at(runner: Any, index: int) -> Any:
    """Return the controller of a workflow of the job; None if there is none at this position."""
    workflows = runner.config.workflows
    return workflows[index].controller if 0 <= index < len(workflows) else None


def controllers(runner: Any) -> list[Any]:
    """Return the controllers of the job's workflows, in order."""
    return [workflow.controller for workflow in runner.config.workflows]


def start_with_workflow(runner: Any, index: int) -> None:
    """Skip the workflows before this one; call it before the first one starts."""
    runner.current_wf_index = index


def rounds_of_gathering(controller: Any) -> int:
    """Return the number of the last round of ScatterAndGather, from 1."""
    return int(controller._start_round + controller._num_rounds)


def start_gathering_at(controller: Any, next_round: int) -> None:
    """Let ScatterAndGather go on with a round, from 0."""
    controller._current_round = next_round


def model_of_gathering(controller: Any) -> Any:
    """Return the global model of ScatterAndGather."""
    return controller._global_weights


def rounds_of_relay(controller: Any) -> int:
    """Return the number of the last round of CyclicController, from 1."""
    return int(controller._end_round)


def start_relay_at(controller: Any, next_round: int) -> None:
    """Let CyclicController go on with a round, from 0."""
    controller._start_round = next_round


def model_of_relay(controller: Any) -> Any:
    """Return the global model of CyclicController."""
    return controller._last_learnable


def last_site_of_relay(controller: Any) -> str:
    """Return the site that was last in the last round of CyclicController; empty before the first round."""
    return str(getattr(controller._last_client, "name", ""))


def set_last_site_of_relay(controller: Any, site: str) -> None:
    """Let CyclicController know which site was last: with a random order, it is not the first of the next."""
    sites = {client.name: client for client in controller._participating_clients}
    controller._last_client = sites.get(site)


def control_variates(scaffold: Any) -> Any:
    """Return the global control variates of SCAFFOLD, which change in place; None before they exist."""
    return getattr(scaffold, "_global_ctrl_weights", None)


_SUMMARY = tuple(name.rpartition(".")[2] for name in USES if "MetricsArtifactWriter" in name)


def metric_summary(writer: Any) -> dict[str, Any]:
    """Return what MetricsArtifactWriter knows of the rounds before, as JSON."""
    return {name: getattr(writer, name) for name in _SUMMARY}


def restore_metric_summary(writer: Any, summary: Mapping[str, Any]) -> None:
    """Let MetricsArtifactWriter go on with a summary; call it after START_RUN, which resets it."""
    for name in _SUMMARY:
        setattr(writer, name, summary[name])

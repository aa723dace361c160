"""State of a running job, and failures in the log of its analytics receivers, for the guard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

USES = {
    "nvflare.private.fed.server.server_runner:ServerRunner": (
        "lookup of the workflow among the handlers of a job"
    ),
    "nvflare.private.fed.server.server_runner:ServerRunner.current_wf": "workflow that runs",
    "nvflare.private.fed.server.server_runner:ServerRunner.current_wf_index": (
        "index of the workflow that starts"
    ),
    "nvflare.private.fed.server.server_runner:ServerRunner.config": "list of the job's workflows",
    "nvflare.private.fed.server.run_manager:RunManager.handlers": "event handlers of a job",
    "nvflare.private.fed.server.run_manager:RunManager.components": "components of a job",
    "nvflare.private.fed.utils.fed_utils:extract_participants": "sites of a deploy_map",
    "nvflare.apis.impl.wf_comm_server:WFCommServer._tasks": "tasks that are not completed",
    "nvflare.apis.impl.wf_comm_server:_TASK_KEY_MANAGER": "kind of a task",
    "nvflare.apis.impl.bcast_manager:_KEY_MIN_RESPS": "number of results that end a broadcast",
    "nvflare.apis.impl.any_relay_manager:_KEY_TASK_RESULT_TIMEOUT": "timeout of a relay",
    "nvflare.app_common.workflows.fedavg:FedAvg._aggregate_one_result": "detection of custom averaging",
    "nvflare.app_common.aggregators.intime_accumulate_model_aggregator:"
    "InTimeAccumulateWeightedAggregator._weigh_by_local_iter": (
        "whether an aggregator weights sites by their steps"
    ),
    "log:nvflare.app_common.workflows.base_model_controller:Unsuccessful callback": (
        "reason why a result was not used"
    ),
    "log:nvflare.apis.impl.wf_comm_server:processing error in result_received_cb on task": (
        "reason why a result was not used"
    ),
    "log:nvflare.private.fed.server.server_runner:processing error in task result filter": (
        "reason why a result was not used"
    ),
    "log:nvflare.private.fed.server.server_runner:Error processing client result by": (
        "reason why a result was not used"
    ),
    "nvflare.app_common.widgets.streaming:AnalyticsReceiver._initialized": (
        "detection of a receiver that failed to start"
    ),
    "log:nvflare.app_common.widgets.streaming:Receiver initialize failed with": (
        "reason why a receiver did not start"
    ),
    "log:nvflare.app_common.widgets.streaming:Receiver save method failed with": (
        "reason why a metric was not stored"
    ),
    "log:nvflare.app_common.widgets.streaming:Receiver finalize failed with": (
        "reason why the last metrics were lost"
    ),
}

_RECEIVER_FAILED = re.compile(
    r"Receiver (?P<step>initialize|save|finalize)(?: method)? failed with (?P<reason>.*)"
)
_RESULT_FAILED = re.compile(
    r"Unsuccessful callback .* for task [^:]*: (?P<callback>.*)"
    r"|processing error in result_received_cb on task [^:]*: (?P<received>.*)"
    r"|processing error in task result filter (?P<filter>.*?);? *$"
    r"|Error processing client result by [^:]*: (?P<processing>.*)",
    re.DOTALL,
)


def job_components(engine: Any) -> Mapping[str, Any]:
    """Return the components of the job that `engine` runs, by id; on the server and at sites."""
    if hasattr(engine, "get_all_components"):
        components: Mapping[str, Any] = engine.get_all_components()
        if components:
            return components
    return getattr(getattr(engine, "run_manager", None), "components", {})


def current_controller(fl_ctx: Any) -> Any:
    """Return the controller of the workflow that runs on the server; None between two workflows."""
    runner = _server_runner(fl_ctx)
    return None if runner is None or runner.current_wf is None else runner.current_wf.controller


def starting_controller(fl_ctx: Any) -> Any:
    """Return the controller of the workflow that starts; during START_WORKFLOW it is not current yet."""
    runner = _server_runner(fl_ctx)
    return None if runner is None else runner.config.workflows[runner.current_wf_index].controller


def _server_runner(fl_ctx: Any) -> Any:
    from nvflare.private.fed.server.server_runner import ServerRunner

    handlers = getattr(getattr(fl_ctx.get_engine(), "run_manager", None), "handlers", ())
    return next((handler for handler in handlers if isinstance(handler, ServerRunner)), None)


def participants(deployments: Any) -> list[str]:
    """Return the names in one entry of a deploy_map, in any of its forms.

    Raises:
        ValueError: the entry has none of these forms.
    """
    from nvflare.private.fed.utils.fed_utils import extract_participants

    names: list[str] = extract_participants(deployments)
    return names


def open_tasks_without_timeout(controller: Any) -> list[Any]:
    """Return the tasks that are not completed and that NVFlare waits for without a timeout.

    Args:
        controller: NVFlare's controller, or None between two workflows.
    """
    from nvflare.apis.impl.any_relay_manager import _KEY_TASK_RESULT_TIMEOUT

    communicator = getattr(controller, "communicator", None)
    return [
        task
        for task in list(getattr(communicator, "_tasks", ()))
        if not task.timeout
        and not task.props.get(_KEY_TASK_RESULT_TIMEOUT)
        and task.completion_status is None
    ]


def asked_sites(controller: Any) -> set[str]:
    """Return the sites that open tasks are for; none between two tasks."""
    communicator = getattr(controller, "communicator", None)
    return {site for task in list(getattr(communicator, "_tasks", ())) for site in task.targets or ()}


def answered_sites(controller: Any) -> set[str]:
    """Return the sites that have answered an open task, with a result or an error."""
    communicator = getattr(controller, "communicator", None)
    return {
        one.client.name
        for task in list(getattr(communicator, "_tasks", ()))
        for one in list(task.client_tasks)
        if one.result_received_time is not None
    }


def results_needed(broadcast: Any) -> int | None:
    """Return how many results complete a broadcast; None for a task of any other kind."""
    from nvflare.apis.impl.bcast_manager import _KEY_MIN_RESPS, BcastTaskManager
    from nvflare.apis.impl.wf_comm_server import _TASK_KEY_MANAGER

    if not isinstance(broadcast.props.get(_TASK_KEY_MANAGER), BcastTaskManager):
        return None
    return int(broadcast.props.get(_KEY_MIN_RESPS) or len(set(broadcast.targets or ())))


def has_default_averaging(fedavg: Any) -> bool:
    """Return whether a FedAvg controller averages results as NVFlare itself does."""
    from nvflare.app_common.workflows.fedavg import FedAvg

    return type(fedavg)._aggregate_one_result is FedAvg._aggregate_one_result


def uses_step_counts(controller: Any, aggregator: Any) -> bool:
    """Return whether a workflow that averages weights each site by its number of local steps."""
    from nvflare.app_common.workflows.fedavg import FedAvg

    return isinstance(controller, FedAvg) or bool(getattr(aggregator, "_weigh_by_local_iter", False))


def failure_of_result(message: str) -> str:
    """Return why the server could not process a result, from a message in its log; else an empty text."""
    match = _RESULT_FAILED.search(message)
    return next((text.strip() for text in match.groups() if text), "") if match else ""


@dataclass(frozen=True)
class ReceiverFailure:
    """A failure that an analytics receiver logged."""

    step: str
    """`initialize`, `save` or `finalize`."""
    reason: str


def receiver_failures(log: str) -> Iterator[ReceiverFailure]:
    """Yield the failures of analytics receivers in a log text, in order."""
    for match in _RECEIVER_FAILED.finditer(log):
        yield ReceiverFailure(match["step"], match["reason"])


def has_started(receiver: Any) -> bool:
    """Return whether an analytics receiver has initialized."""
    return getattr(receiver, "_initialized", True) is not False

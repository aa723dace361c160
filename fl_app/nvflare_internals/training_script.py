"""How NVFlare runs a client script, and what it logs if the script ends; how a parent reaches a job."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nvflare.apis.fl_constant import FLContextKey, ReturnCode, ServerCommandNames
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.fuel.f3.cellnet.defs import CellChannel
from nvflare.fuel.utils import fobs

SCRIPT_THREAD = "client_api_in_process_trainer"
"""Name of the thread that runs a client script in the site's job process."""
OUTPUT_LOGGER = "nvflare.app_common.executors.client_api.external_process_backend.ExternalProcessBackend"
"""Logger of the output of a training process."""
OUTPUT_FUNCTION = "_route_subprocess_line"
"""Function that logs a line of this output; NVFlare's own lines have the same logger."""
_SCRIPT_ENDED = ("trainer thread exited before producing a result", "trainer is no longer available")
_PROCESS_ENDED = re.compile(r"trainer process group exited \(rc=(?P<code>-?\d+|None)\)")
_PROCESS_GONE = ("trainer process exited while TASK_READY was pending", "trainer heartbeat timed out after")

USES = {
    "log:nvflare.app_common.executors.client_api.in_process_backend:client_api_in_process_trainer": (
        "the thread of a client script"
    ),
    "log:nvflare.app_common.executors.client_api.in_process_backend:"
    "trainer thread exited before producing a result": ("a script that ended"),
    "log:nvflare.app_common.executors.client_api.in_process_backend:trainer is no longer available": (
        "a script that ended before its task"
    ),
    "nvflare.app_common.executors.client_api.external_process_backend:ExternalProcessBackend": (
        "the output of a training process in its log"
    ),
    "nvflare.app_common.executors.client_api.external_process_backend:"
    "ExternalProcessBackend._active_launch": ("the training process of a site"),
    "nvflare.app_common.executors.client_api.external_process_backend:ExternalProcessBackend._context": (
        "interval of its heartbeats"
    ),
    "nvflare.app_common.executors.client_api.external_process_backend:_TrainerSession.pgid": (
        "process group of a training process"
    ),
    "nvflare.app_common.executors.client_api.external_process_backend:_TrainerSession.peer_silent_for": (
        "its last heartbeat"
    ),
    "nvflare.app_common.executors.client_api_executor:ClientAPIExecutor._backend": (
        "the training process of a site"
    ),
    "nvflare.utils.process_utils:_route_subprocess_line": "the output of a training process",
    "log:nvflare.app_common.executors.client_api.external_process_backend:"
    "trainer process group exited (rc=": ("exit code of a training process"),
    "log:nvflare.app_common.executors.client_api.external_process_backend:"
    "trainer process exited while TASK_READY was pending": ("a process that ended"),
    "log:nvflare.app_common.executors.client_api.external_process_backend:"
    "trainer heartbeat timed out after": ("a training process that ended"),
    "nvflare.client.api_spec:CLIENT_API_KEY": "the client API that a script calls",
    "nvflare.client.in_process.api:InProcessClientAPI.is_running": "calls of a client script",
    "nvflare.fuel.f3.cellnet.cell:Cell.decode_pass_through_topics": ("whether a site has a training process"),
    "nvflare.private.fed.client.client_runner:ClientRunner.find_executor": "executor of a task",
    "nvflare.private.fed.client.client_engine:ClientEngine.aux_runner": "messages of a parent",
    "nvflare.private.aux_runner:AuxMsgTarget": "address the server's process of one job",
    "nvflare.private.fed.client.client_executor:_ABORT_REQUESTED_KEY": "whether a site's job was aborted",
}


def script_ended(log: str) -> bool:
    """Return whether NVFlare logged that a client script ended in the site's job process."""
    return any(text in log for text in _SCRIPT_ENDED)


def process_ended(log: str) -> bool:
    """Return whether NVFlare logged that a training process ended or stopped answering."""
    return bool(_PROCESS_ENDED.search(log)) or any(text in log for text in _PROCESS_GONE)


def exit_code_in(log: str) -> int | None:
    """Return the exit code of a training process from NVFlare's log text; None if it is unknown."""
    match = _PROCESS_ENDED.search(log)
    return int(match["code"]) if match and match["code"] != "None" else None


def is_abort_requested(engine: Any, job_id: str) -> bool:
    """Return whether NVFlare was asked to end the process of a job at this site."""
    from nvflare.private.fed.client.client_executor import _ABORT_REQUESTED_KEY

    process = engine.client_executor.run_processes.get(job_id, {})
    return bool(process.get(_ABORT_REQUESTED_KEY))


def tell_server_job(engine: Any, job_id: str, topic: str, message: Shareable, timeout: float) -> bool:
    """Send a message from a site's parent to the server's process of a job; return whether it was handled."""
    from nvflare.fuel.f3.cellnet.fqcn import FQCN
    from nvflare.private.aux_runner import AuxMsgTarget

    target = AuxMsgTarget("server", FQCN.join([FQCN.ROOT_SERVER, job_id]), job_scoped=False)
    with engine.new_context() as fl_ctx:
        assert isinstance(fl_ctx, FLContext)
        replies = engine.aux_runner.send_aux_request(
            targets=[target], topic=topic, request=message, timeout=timeout, fl_ctx=fl_ctx, optional=True
        )
    reply = replies.get("server")
    return isinstance(reply, Shareable) and reply.get_return_code() == ReturnCode.OK


@dataclass(frozen=True)
class TrainingProcess:
    """A training process that NVFlare started for a client script."""

    group: int
    """Id of its process group, and of its first process."""
    silent_for: float
    """Seconds since its last heartbeat."""
    heartbeat_interval: float
    """Seconds between two heartbeats."""


def training_process(fl_ctx: FLContext, task: str) -> TrainingProcess | None:
    """Return the training process that works on a task at this site; None without one that has heartbeats.

    Args:
        fl_ctx: context of the task.
        task: name of the task.
    """
    find_executor = getattr(fl_ctx.get_prop(FLContextKey.RUNNER), "find_executor", None)
    backend = getattr(find_executor(task) if find_executor else None, "_backend", None)
    session = getattr(backend, "_active_launch", None)
    group, silent_for = getattr(session, "pgid", None), getattr(session, "peer_silent_for", lambda: None)()
    settings: Any = getattr(backend, "_context", None)
    if not isinstance(group, int) or silent_for is None or not getattr(settings, "heartbeat_timeout", 0):
        return None
    return TrainingProcess(group, silent_for, settings.heartbeat_interval)


def follow_script_calls(called: Callable[[str, object], None]) -> None:
    """Call `called` with name and result of each call of `is_running` or `receive` by a script here."""
    from nvflare.client.api_spec import CLIENT_API_KEY
    from nvflare.client.in_process.api import InProcessClientAPI
    from nvflare.fuel.data_event.data_bus import DataBus

    api = DataBus().get_data(CLIENT_API_KEY)
    if not isinstance(api, InProcessClientAPI) or "is_running" in vars(api):
        return

    def following(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def follow(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            called(name, result)
            return result

        return follow

    for name in ("is_running", "receive"):
        setattr(api, name, following(name, getattr(api, name)))


def has_training_process(cell: Any) -> bool:
    """Return whether a site's job process has an external training process.

    Args:
        cell: cell of the job process.
    """
    return (CellChannel.SERVER_COMMAND, ServerCommandNames.GET_TASK) in cell.decode_pass_through_topics


def receive_result_here(cell: Any, task: Shareable) -> None:
    """Name the site's job process as the receiver of a training process's result, in place of the server's.

    Args:
        cell: cell of the job process.
        task: the task that the training process will get.
    """
    task.set_header(fobs.FOBSContextKey.RECEIVER_IDS, (cell.get_fqcn(),))


def receive_result(cell: Any, result: Shareable, fl_ctx: FLContext) -> None:
    """Download the arrays of a training process's result, and put them in the place of its references.

    Source: nvflare.app_common.ccwf.swarm_client_ctl, which receives results for its aggregation in this way.

    Args:
        cell: cell of the site's job process.
        result: the result; it is changed.
        fl_ctx: context of the job process.
    """
    encoded = fobs.dumps(result, fobs_ctx=cell.get_fobs_context())
    properties = {
        fobs.FOBSContextKey.PASS_THROUGH: False,
        fobs.FOBSContextKey.TENSOR_DISK_OFFLOAD: False,
        fobs.FOBSContextKey.ABORT_SIGNAL: fl_ctx.get_run_abort_signal(),
    }
    received = fobs.loads(encoded, fobs_ctx=cell.get_fobs_context(props=properties))
    result.clear()
    result.update(received)

"""Tasks of NVFlare's controllers, as the guard sees them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nvflare.apis.client import Client
from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.impl.bcast_manager import BcastTaskManager
from nvflare.apis.impl.wf_comm_server import _TASK_KEY_MANAGER
from nvflare.apis.shareable import Shareable


def broadcast(*returned: str, timeout: int = 0, min_responses: int = 0, sent: float | None = None) -> Task:
    """A task for three sites; with `sent`, the time at which the others received it, they work on it."""
    task = Task("train", Shareable(), timeout=timeout)
    task.targets = ["site-1", "site-2", "site-3"]
    task.props[_TASK_KEY_MANAGER] = BcastTaskManager(task, min_responses, 0)
    for name in task.targets if sent is not None else returned:
        one = ClientTask(Client(name, "token"), task)
        one.task_sent_time = sent
        one.result_received_time = 1.0 if name in returned else None
        task.client_tasks.append(one)
    return task


def as_relay(task: Task, manager: Any) -> Task:
    task.props[_TASK_KEY_MANAGER] = manager
    return task


def controller(*tasks: Task) -> Any:
    return SimpleNamespace(communicator=SimpleNamespace(_tasks=list(tasks)))

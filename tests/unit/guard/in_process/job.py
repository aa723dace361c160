"""A job, how it ended, and a persistor in memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.abstract.model import ModelLearnableKey, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor

from fl_app.guard.finding import MARK

JOB = "job"
"""Id of the only job."""
POLL = 0.005
"""Seconds between two polls."""

Train = Callable[[str, FLModel], "FLModel | Shareable"]
"""What a site does: from its name and the received model to its answer."""


@dataclass
class Job:
    """A job as its configuration describes it.

    Args:
        workflows: controllers of NVFlare or of the user, in order.
        train: what the sites do for any task.
        components: further components of the server, by id.
        server_filters: filters of task results on the server.
        site_filters: filters of task results at the sites.
        task_filters: filters of task data on the server.
        sites: names of the sites.
        meta: further entries of meta.json.
        levels: levels of the guard's rules.
    """

    workflows: Sequence[Any]
    train: Train
    components: Mapping[str, Any] = field(default_factory=dict)
    server_filters: Sequence[Any] = ()
    site_filters: Sequence[Any] = ()
    task_filters: Sequence[Any] = ()
    sites: Sequence[str] = ("site-1", "site-2")
    meta: Mapping[str, Any] = field(default_factory=dict)
    levels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Ended:
    """How a job ended."""

    folder: Path
    """The job's folder on the server."""
    panics: list[str] = field(default_factory=list)
    """Reasons for which a component ended the job."""
    warnings: list[str] = field(default_factory=list)
    """Warnings of the guard."""
    initial: Any = None
    """The parameters with which `Memory` started."""
    models: list[Any] = field(default_factory=list)
    """What `Memory` saved, in order."""

    @property
    def reasons(self) -> list[str]:
        """Reasons for which the guard ended the job, without the mark."""
        return [line.removeprefix(MARK).strip() for line in self.panics if line.startswith(MARK)]


class Memory(ModelPersistor):
    """Keep models in memory: a persistor of the user's own."""

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        self.parameters = parameters
        self.saved: list[Any] = []

    def load_model(self, fl_ctx: FLContext) -> Any:
        return make_model_learnable(copy.deepcopy(self.parameters), {})

    def save_model(self, model: Any, fl_ctx: FLContext) -> None:
        self.saved.append(copy.deepcopy(model[ModelLearnableKey.WEIGHTS]))

"""Find a script in a training process that loops without sending a result, by the rule of `ScriptLoop`.

Nothing outside of the process shows such a script: its process sends heartbeats, and may compute. The process
raises in the script, so that its traceback is the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from fl_app.guard.unanswered import ScriptLoop

FOLDER = Path(__file__).parent / "training_process"
"""Folder of the module that checks the calls in a training process."""


def check_in_training_processes(path: list[str]) -> None:
    """Let the training processes of this process check the calls of their script.

    Args:
        path: `sys.path`, which NVFlare passes on as PYTHONPATH.
    """
    if str(FOLDER) not in path:
        path.insert(0, str(FOLDER))


def check_calls(module: ModuleType) -> None:
    """Check the calls of the client API in this process.

    Args:
        module: NVFlare's module of the client API.
    """
    loop, api = ScriptLoop(), module.CellClientAPI

    def checked(name: str) -> Callable[..., Any]:
        original = getattr(api, name)

        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            if name == "send":
                loop.answered()
            elif result:  # a rank without control, or no task within the script's timeout
                loop.called(name, result)
                if loop.is_endless():
                    raise RuntimeError(loop.error().what)
            return result

        return call

    for name in ("is_running", "receive", "send"):
        setattr(api, name, checked(name))

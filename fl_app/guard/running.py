"""What the guard looks up in a running job of NVFlare's: its controller and its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.private.fed.server.server_runner import ServerRunner

from fl_app.guard.configuration import findings_in_config
from fl_app.guard.finding import Finding


def current_controller(fl_ctx: FLContext, starting: bool = False) -> Any:
    """The controller of the workflow that runs; None between two.

    Args:
        fl_ctx: any context of the server's job process.
        starting: the next one, which has been announced and does not count as running yet.
    """
    handlers = getattr(getattr(fl_ctx.get_engine(), "run_manager", None), "handlers", ())
    for handler in handlers:
        if isinstance(handler, ServerRunner):
            if starting:
                return handler.config.workflows[handler.current_wf_index].controller
            return handler.current_wf.controller if handler.current_wf is not None else None
    return None


def settings_of(fl_ctx: FLContext) -> tuple[Finding, ...]:
    """What is wrong in the job's configuration on the server."""
    workspace = fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT) or fl_ctx.get_engine().get_workspace()
    file = Path(workspace.get_app_config_dir(fl_ctx.get_job_id())) / "config_fed_server.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()  # another format of NVFlare's
    return findings_in_config(config, at="server", installed=True)

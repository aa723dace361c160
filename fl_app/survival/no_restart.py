"""Workflows that cannot go on after one of the job's processes was killed: they start over, or end.

Flower and NVFlare's client-controlled workflows (swarm learning) configure each site once. A site's process
that is started again is not configured, and the server's knows nothing of what the sites do meanwhile.
See `fl_app.survival.start_over`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psutil
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.files import PRIVATE_FILE, write_atomically
from fl_app.guard.finding import Finding
from fl_app.nvflare_internals import workflow_state
from fl_app.survival.checkpoints import folder_of
from fl_app.survival.limits import survival_enabled
from fl_app.survival.requeue import Requeues
from fl_app.survival.starting_over import FLOWER, ends_with_a_process

_log = logging.getLogger(__name__)


def find_restarted_site(controller: Any, site: str) -> Finding | None:
    """Return why a run ends whose site has another job process; None if the workflow goes on.

    A site that is not configured yet gets its configuration again. A swarm that needs only some of its sites
    goes on without it.

    Args:
        controller: NVFlare's controller of the running workflow, or None.
        site: name of the site.
    """
    if not _cannot_restart(controller):
        return None
    statuses = controller.client_statuses
    if 0 < (getattr(controller, "min_clients", None) or 0) < len(statuses):
        return None
    status = statuses.get(site)
    times = (getattr(status, name, None) for name in ("configured_time", "ready_time"))
    return _finding(controller, site) if any(times) and not getattr(status, "app_done", None) else None


def find_restarted_server(controller: Any, fl_ctx: FLContext) -> Finding | None:
    """Return why a run ends whose workflow an earlier process of the server has started; None if none has.

    A job that was put back into the queue has new processes at all sites, and can start over. The first call
    writes a file that names this process, and that the next process finds.

    Args:
        controller: NVFlare's controller of the workflow that starts.
        fl_ctx: context of the server's engine.
    """
    if not survival_enabled() or not _cannot_restart(controller):
        return None
    engine = fl_ctx.get_engine()
    requeues = Requeues.of(fl_ctx.get_prop(FLContextKey.JOB_META) or {}).count
    index = workflow_state.workflow_index(workflow_state.runner_of(engine))
    folder = folder_of(Path(engine.get_workspace().get_root_dir()), fl_ctx.get_job_id())
    file = folder / f"started-{index}-{requeues}"
    try:
        if file.exists():
            is_same = file.read_text(encoding="ascii") == _this_process()
            return None if is_same else _finding(controller, "server")
        write_atomically(file, _this_process().encode(), PRIVATE_FILE)
    except OSError as error:  # the volume is full: NVFlare's own timeouts end the job
        _log.warning("the start of the workflow cannot be recorded: %s", error)
    return None


def _this_process() -> str:
    process = psutil.Process()
    return f"{process.pid} {process.create_time()}"


def _cannot_restart(controller: Any) -> bool:
    return any(
        ends_with_a_process(f"{kind.__module__}.{kind.__qualname__}") for kind in type(controller).__mro__
    )


def _finding(controller: Any, place: str) -> Finding:
    name = type(controller).__name__
    job = "a Flower job" if type(controller).__module__.startswith(FLOWER) else f"a job with {name}"
    what = f"its job process was killed and started again; {job} cannot go on after that"
    return Finding(what, "Submit it again.", site=place)

"""What every job process does before and after NVFlare's own main: it ends with its parent, and it ends
quickly."""

from __future__ import annotations

import importlib
import os
import select
import sys
import threading
from pathlib import Path

from fl_app.startup.loading import loading
from fl_app.startup.telemetry_opt_out import report_nothing

EXIT_GRACE = 0.2
"""Seconds that NVFlare lets pending messages finish once a job's work is done (3 there; all has been
acknowledged by then)."""

PARENT_GRACE = 3.0
"""Seconds in which NVFlare may end the job by itself once the parent is gone, before the process ends the
hard way."""

_PARENT_GONE = 9
"""The exit code of a job process whose parent died; NVFlare reads 9 as aborted."""


def run_job(module: str) -> int:
    """Run NVFlare's main of a job process and return its exit code.

    The first argument of the command line is the parent's process id, put there by
    `fl_app.launchers.process`.

    Args:
        module: NVFlare's program of the server's or a site's job process.
    """
    end_with_parent(int(sys.argv.pop(1)))
    report_nothing(os.environ)  # a job's pod has not its parent's environment
    with loading():
        from nvflare.fuel.f3.mpm import MainProcessMonitor

        program = importlib.import_module(module)
    arguments = program.parse_arguments()
    return MainProcessMonitor.run(
        main_func=program.main,
        run_dir=str(Path(arguments.workspace, arguments.job_id)),
        shutdown_grace_time=EXIT_GRACE,
        args=arguments,
    )


def end_with_parent(parent: int) -> None:
    """End this process soon after process `parent` ends, however it ends.

    Linux's PR_SET_PDEATHSIG would fire when the parent's *thread* that started us ends, so the parent is
    watched instead.
    """
    try:
        watch = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(_PARENT_GONE)
    except (AttributeError, OSError):
        return  # not Linux 5.3 or later: NVFlare's own watch of the parent, once a second, must do

    def wait_and_end() -> None:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.poll()
        threading.Event().wait(PARENT_GRACE)
        os._exit(_PARENT_GONE)

    threading.Thread(target=wait_and_end, name="end-with-parent", daemon=True).start()

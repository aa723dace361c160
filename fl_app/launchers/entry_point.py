"""What every job process does before and after NVFlare's own main: it ends with its parent, and it ends
quickly."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from fl_app.child_process import end_with_parent
from fl_app.startup.loading import loading
from fl_app.startup.telemetry_opt_out import report_nothing

EXIT_GRACE = 0.2
"""Seconds that NVFlare lets pending messages finish once a job's work is done (3 there; all has been
acknowledged by then)."""


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

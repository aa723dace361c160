"""`python -m fl_app.startup`: the program of servers and sites. See `fl_app.checks.exit_codes`."""

from __future__ import annotations

import math
import os
import sys

from fl_app.checks.exit_codes import StartupError, report
from fl_app.garbage_collection import paused_for_imports
from fl_app.startup.restarts import Restarts
from fl_app.startup.settings import Settings
from fl_app.startup.supervisor import Supervisor
from fl_app.telemetry_opt_out import opt_out_of_telemetry


def main() -> int:
    """Run the parent that the environment describes and return its exit code."""
    opt_out_of_telemetry(os.environ)
    try:
        settings = Settings.read()
    except StartupError as error:
        return report(error)
    restarts = Restarts(
        settings.workspace, settings.restart and settings.survival, settings.restarts, settings.last_exit
    )
    code = Supervisor(lambda: _run(settings, restarts), restarts.delay_after).run()
    if code == 0:
        print("flarefleet: stopped", file=sys.stderr, flush=True)
    return code


def _run(settings: Settings, restarts: Restarts) -> int:
    with paused_for_imports():
        from fl_app.startup.parent import run_parent

    if restarts.was_running:  # the server may be gone for long, and nobody watches this start
        settings = settings.model_copy(update={"server_wait": math.inf})
    try:
        return run_parent(settings, restarts)
    except StartupError as error:
        return report(error, settings.termination_log)


if __name__ == "__main__":
    sys.exit(main())

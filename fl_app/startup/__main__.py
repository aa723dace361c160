"""`python -m fl_app.startup`: the program of every server and site. Its exit codes are in `exit_codes`."""

from __future__ import annotations

import contextlib
import math
import os
import sys

from fl_app.garbage_collection import paused_for_imports
from fl_app.startup.exit_codes import StartupError
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
        return _report(error, None)
    restarts = Restarts(settings.workspace, settings.restart, settings.restarts, settings.last_exit)
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
        return _report(error, settings)


def _report(error: StartupError, settings: Settings | None) -> int:
    """Print the reason on one line to stderr, and to the file that the orchestrator reads."""
    line = f"flarefleet: cannot run: {error} (exit code {int(error.exit_code)}, {error.exit_code.name})"
    print(line, file=sys.stderr, flush=True)
    if settings is not None and settings.termination_log is not None:
        with contextlib.suppress(OSError):
            settings.termination_log.write_text(line + "\n", encoding="utf-8")
    return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())

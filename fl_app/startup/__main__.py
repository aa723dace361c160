"""`python -m fl_app.startup`: the program of every server and site. Its exit codes are in `exit_codes`."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator

from fl_app.garbage_collection import paused_for_imports
from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.settings import Settings
from fl_app.startup.supervisor import Supervisor
from fl_app.telemetry_opt_out import opt_out_of_telemetry

REGISTRATION_ATTEMPTS = 5
"""NVFlare itself exits after one lost answer, which is common while the server starts."""


def main() -> int:
    """Run the parent that the environment describes and return its exit code."""
    opt_out_of_telemetry(os.environ)
    try:
        settings = Settings.read()
    except StartupError as error:
        return _report(error, None)
    attempts = itertools.count(1)
    return Supervisor(lambda: _run(settings), lambda code: _should_restart(settings, code, attempts)).run()


def _run(settings: Settings) -> int:
    with paused_for_imports():
        from fl_app.startup.parent import run_parent

    try:
        return run_parent(settings)
    except StartupError as error:
        return _report(error, settings)


def _should_restart(settings: Settings, code: int, attempts: Iterator[int]) -> bool:
    from fl_app.startup.parent import take_restart_request

    if code == Exit.NO_ANSWER and next(attempts) < REGISTRATION_ATTEMPTS:
        print("flarefleet: restarting to retry the registration", file=sys.stderr, flush=True)
        return True
    return take_restart_request(settings.workspace)


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

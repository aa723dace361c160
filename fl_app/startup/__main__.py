"""`python -m fl_app.startup`: the program of every server and site; its exit codes are in `exit_codes`."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator

from fl_app.startup.exit_codes import Exit, StartupError
from fl_app.startup.loading import loading
from fl_app.startup.settings import Settings
from fl_app.startup.supervisor import Supervisor
from fl_app.startup.telemetry_opt_out import report_nothing

REGISTRATION_TRIES = 5
"""NVFlare gives up with the first answer that is lost, as it may be where the server has just started."""


def main() -> int:
    """Start the parent that the environment describes, and stay until it ends."""
    report_nothing(os.environ)
    try:
        settings = Settings.read(os.environ)
    except StartupError as error:
        return _report(error, None)
    tries = itertools.count(1)
    return Supervisor(lambda: _run(settings), lambda code: _starts_again(settings, code, tries)).run()


def _run(settings: Settings) -> int:
    with loading():
        from fl_app.startup.parent import run_parent

    try:
        return run_parent(settings)
    except StartupError as error:
        return _report(error, settings)


def _starts_again(settings: Settings, code: int, tries: Iterator[int]) -> bool:
    from fl_app.startup.parent import starts_again

    if code == Exit.NO_ANSWER and next(tries) < REGISTRATION_TRIES:
        print("flarefleet: it starts again, to register once more", file=sys.stderr, flush=True)
        return True
    return starts_again(settings.workspace)


def _report(error: StartupError, settings: Settings | None) -> int:
    """Say why in one line: on stderr, and where an orchestrator looks for it."""
    line = f"flarefleet: cannot run: {error} (exit code {int(error.exit_code)}, {error.exit_code.name})"
    print(line, file=sys.stderr, flush=True)
    if settings is not None and settings.termination_log is not None:
        with contextlib.suppress(OSError):
            settings.termination_log.write_text(line + "\n", encoding="utf-8")
    return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())

"""How the process of a job ended: it records a clean end, so that its parent can tell any other.

A client script that calls `os._exit(0)`, or a library that does, ends the process with the exit code of
success, and NVFlare's server waits for the site until it is declared dead.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nvflare.apis.shareable import Shareable
from nvflare.security.logging import is_secure, secure_format_traceback

from fl_app.guard.error_capture import error_from, exit_text
from fl_app.guard.site_error import SITE_ERROR_TOPIC, SiteError
from fl_app.guard.tracebacks import raised_at
from fl_app.nvflare_internals.training_script import is_abort_requested, tell_server_job

END_FILE = "flarefleet_end.txt"
"""File in the run folder of a job. It is missing if the process was ended, and empty after a clean end; it
contains the traceback if the process raised."""
CRASH_FILE = "flarefleet_crash.txt"
"""File in the run folder for the traceback of a crash, such as a segmentation fault."""
REPORT_SECONDS = 6.0
"""Time to tell the server's job process, which may still be starting."""
_ATTEMPT_SECONDS = 2.0


def recording_end(main: Callable[[Any], Any], folder: Path) -> Callable[[Any], Any]:
    """Return a main function that records how it ended.

    Args:
        main: NVFlare's main function.
        folder: run folder of the job.
    """

    def run(args: Any) -> Any:
        forget_end(folder)
        with contextlib.suppress(OSError):
            faulthandler.enable((folder / CRASH_FILE).open("w"), all_threads=False)
        os.environ.setdefault("PYTHONFAULTHANDLER", "1")  # for a training process
        text = ""
        try:
            return main(args)
        except BaseException as error:
            text = _traceback(error)
            raise
        finally:
            with contextlib.suppress(OSError):
                (folder / END_FILE).write_text(text, encoding="utf-8")

    return run


def forget_end(folder: Path) -> None:
    """Remove what an earlier process of the job recorded."""
    for name in (END_FILE, CRASH_FILE):
        (folder / name).unlink(missing_ok=True)


def has_recorded_end(folder: Path) -> bool:
    """Return whether NVFlare's main function has returned or raised; a later kill interrupts no job."""
    return (folder / END_FILE).exists()


def end_of_process(folder: Path, code: int | None, killed: str = "") -> SiteError | None:
    """Return why the process of a job ended; None after a clean end.

    Args:
        folder: run folder of the job.
        code: exit code of the process; negative for a signal.
        killed: why the process was killed; empty if that is unknown.
    """
    text = _read(folder / END_FILE)
    if text == "":
        return None
    if text:
        return replace(error_from(text), ends_site=True)
    what, crash = killed or f"its job process {exit_text(code)}", _read(folder / CRASH_FILE) or ""
    return SiteError(what, raised_at(crash), crash, ends_site=True)


def report_end(engine: Any, job_id: str, folder: Path, code: int | None, killed: str = "") -> None:
    """Tell the server's job process why this site's process ended, unless NVFlare ended it.

    Args:
        engine: NVFlare's engine of the site's parent.
        job_id: the job.
        folder: run folder of the job.
        code: exit code of the process; negative for a signal.
        killed: why the process was killed; empty if that is unknown.
    """
    error = end_of_process(folder, code, killed)
    if error is not None and not is_abort_requested(engine, job_id):
        tell_server(engine, job_id, error)


def tell_server(engine: Any, job_id: str, error: SiteError) -> None:
    """Send an error of this site to the server's job process, for at most REPORT_SECONDS.

    Args:
        engine: NVFlare's engine of the site's parent.
        job_id: the job.
        error: the error.
    """
    deadline = time.monotonic() + REPORT_SECONDS
    while not tell_server_job(
        engine, job_id, SITE_ERROR_TOPIC, Shareable(error.document()), timeout=_ATTEMPT_SECONDS
    ):
        if time.monotonic() > deadline:
            return
        time.sleep(0.5)


def _traceback(error: BaseException) -> str:
    """Return the traceback of the first exception in a chain: NVFlare wraps what a component raises."""
    if is_secure():
        return secure_format_traceback()
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return "".join(traceback.format_exception(error, chain=False))


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None

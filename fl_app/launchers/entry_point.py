"""The entry point of every job process: it exits with its parent, and without NVFlare's delay."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from fl_app.child_process import end_with_parent
from fl_app.contract import ENV_PARENT_PID
from fl_app.exchange import exchange_without_copies
from fl_app.garbage_collection import paused_for_imports
from fl_app.launchers.download_timeout import set_download_timeout
from fl_app.launchers.encryption_context import accept_context
from fl_app.launchers.process_end import recording_end
from fl_app.missing_tenseal import explain_missing_package
from fl_app.nvflare_internals.main_programs import Role, load_job_process
from fl_app.survival.connections import keep_connected, port_of
from fl_app.survival.limits import survival_enabled
from fl_app.telemetry_opt_out import opt_out_of_telemetry

SHUTDOWN_GRACE_SECONDS = 0.2
"""Grace period for pending messages after a job. NVFlare's default, 3 s, is longer than needed."""


def exit_now(code: int | None) -> NoReturn:
    """End this process without Python's finalization, which takes up to a second and half a CPU second.

    NVFlare ends its job processes in the same way if a thread is left, as at the server. Handlers of `atexit`
    are called, and files that a component has left open are written; no thread is left that must be awaited.
    """
    atexit._run_exitfuncs()
    for one in (sys.stdout, sys.stderr, *filter(_is_file, gc.get_objects())):
        with contextlib.suppress(Exception):  # whatever it is, the job has ended with its code
            one.flush()
    os._exit(code or 0)


def _is_file(candidate: Any) -> bool:
    """Return whether an object is an open file of a volume; to write to a pipe or connection might block."""
    if not issubclass(type(candidate), io.IOBase):
        return False
    try:
        return stat.S_ISREG(os.fstat(candidate.fileno()).st_mode)
    except Exception:  # it is closed, has no descriptor, or belongs to a class of its own
        return False


def run_job(role: Role, prepare: Callable[[], None] | None = None) -> int:
    """Run NVFlare's job process and return its exit code.

    The process exits soon after the process whose id is in ENV_PARENT_PID, if that is set.

    Args:
        role: whether this is the server's or a site's job process.
        prepare: called after NVFlare was imported and before it runs.
    """
    if parent := os.environ.pop(ENV_PARENT_PID, ""):
        end_with_parent(int(parent))
    opt_out_of_telemetry(os.environ)  # a job pod does not inherit its parent's environment
    set_download_timeout(os.environ)
    with paused_for_imports():
        from nvflare.fuel.f3.mpm import MainProcessMonitor

        from fl_app.nvflare_internals.workspace_transfer import wait_for_delivery

        program = load_job_process(role)
        exchange_without_copies()
        if survival_enabled():
            wait_for_delivery()
        if prepare is not None:
            prepare()
    arguments = program.parse_arguments()
    explain_missing_package()
    accept_context(Path(arguments.workspace))
    addresses = (getattr(arguments, "sp_target", ""), arguments.parent_url)
    keep_connected({port_of(one) for one in addresses if one})
    folder = Path(arguments.workspace, arguments.job_id)
    try:
        return MainProcessMonitor.run(
            main_func=recording_end(program.main, folder),
            run_dir=str(folder),
            shutdown_grace_time=SHUTDOWN_GRACE_SECONDS,
            args=arguments,
        )
    except SystemExit as end:  # Python would await threads that may never end
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1

"""Runs an exported job in NVFlare's simulator: in a folder of its own, for so long and no longer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from deploy.errors import Failed, FlarefleetError
from deploy.session.failure import last_error
from deploy.session.results import lay_out_run
from fl_app.nvflare_internals.simulator import SIMULATOR_MODULE

_RUN = "simulate_job"
"""What the simulator calls its one job."""
_LONGEST_TEMPORARY = 107 - len("/pymp-12345678/listener-12345678")


def simulate(job: Path, sites: Sequence[str], work: Path, timeout: float, say: Callable[[str], None]) -> None:
    """Run `job`, a folder as `flarefleet export` makes it, until it ends. `lay_out` finds what it left.

    Args:
        job: the job's folder.
        sites: the names of the simulated sites; each has a process of its own.
        work: an empty folder for everything that the simulator writes.
        timeout: seconds until it is ended.
        say: is called with each line that the simulator prints.

    Raises:
        Failed: it did not end in time, a site's process died, or the job failed; with the reason and where
            the logs are.
    """
    _allow_classes(work)
    command = [
        sys.executable, "-m", SIMULATOR_MODULE, str(job), "-w", str(work),
        "-c", ",".join(sites), "-t", str(len(sites)), "-m", str(len(sites)),
    ]  # fmt: skip
    keeper = subprocess.Popen(
        [sys.executable, "-m", "deploy.simulation.simulator_process", str(timeout), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=work,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": _room_for_sockets(tempfile.gettempdir())},
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert keeper.stdin is not None and keeper.stdout is not None and keeper.stderr is not None
    try:
        _pass_on(keeper.stderr, say)
        end = keeper.stdout.read().strip()
    finally:
        keeper.stdin.close()  # this is what it takes as the word to end, if it still runs
        keeper.wait()
    _judge(end, work, sites, timeout)


def _room_for_sockets(temporary: str) -> str:
    """The folder for temporary files, or /tmp where its name leaves no room for that of a socket.

    Python's multiprocessing, with which the simulator keeps its processes together, makes sockets in it, and
    Linux takes 107 characters for the name of one.
    """
    return temporary if len(temporary) <= _LONGEST_TEMPORARY else "/tmp"  # noqa: S108


def lay_out(work: Path, sites: Sequence[str], folder: Path) -> None:
    """Lay out what a simulation left in `folder`, as `flarefleet fetch` does: model/, metrics/, tb_events/,
    logs/.
    """
    lay_out_run(work / "server" / _RUN, folder)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    for name in ("server", *sites):
        log = work / name / "log.txt"
        if log.is_file():
            shutil.copy2(log, logs / f"{name}.log.txt")


def _pass_on(output: IO[str], say: Callable[[str], None]) -> None:
    for line in output:
        say(line.rstrip("\n"))


def _judge(end: str, work: Path, sites: Sequence[str], timeout: float) -> None:
    how, _, detail = end.partition(" ")
    if (how, detail) == ("ended", "0"):
        return
    if how == "late":
        raise Failed(f"the simulation did not end within {timeout:.0f} s and was ended. Its logs: {work}")
    if how == "lost":
        raise Failed(
            f"the process of {detail} died, and the simulation would have waited for it for ever. "
            f"Its log: {work / detail / 'log.txt'}"
        )
    if how != "ended":
        raise FlarefleetError(f"nobody saw how the simulation ended: {end!r}. Its logs: {work}")
    raise Failed(_why_it_failed(work, sites, detail))


def _why_it_failed(work: Path, sites: Sequence[str], code: str) -> str:
    """What the sites say, or else the server."""
    lines = [f"the simulation failed (exit code {code}). Its logs: {work}"]
    said = {name: _last_error(work / name / "error_log.txt") for name in (*sites, "server")}
    told = [name for name in sites if said[name]] or ["server"]
    for name in told:
        if said[name]:
            lines += [f"{name}:", *(f"  {line}" for line in said[name].splitlines())]
    return "\n".join(lines)


def _last_error(log: Path) -> str:
    return last_error(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else ""


def _allow_classes(work: Path) -> None:
    """The classes that a site of a federation allows, which a simulated one must be told."""
    from nvflare.app_common.default_component_policy import DEFAULT_CLASS_ALLOW_LIST

    from deploy.provision.local import ALLOWED_CLASSES

    file = work / "local" / "resources.json"
    file.parent.mkdir(parents=True)
    policy = {"format_version": 2, "class_allow_list": [*DEFAULT_CLASS_ALLOW_LIST, *ALLOWED_CLASSES]}
    file.write_text(json.dumps(policy), encoding="utf-8")

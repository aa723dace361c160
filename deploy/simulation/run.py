"""Run an exported job in NVFlare's simulator, with a timeout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.errors import Failed, FlarefleetError
from deploy.session.failure import last_error
from deploy.session.results import add_event_files, sort_run
from fl_app.nvflare_internals.simulator import SIMULATOR_MODULE
from fl_app.telemetry.job_progress import JobProgress, final_progress, read_progress

POLL_INTERVAL = 0.1
"""Seconds between two reads of the progress."""
RUN = "simulate_job"
"""The simulator's name for its only job."""
EVENT_FILES = "flarefleet_event_files"
"""Folder in the server's run folder that holds the event files of the server and of each site."""
_MAX_TEMPORARY_PATH = 107 - len("/pymp-12345678/listener-12345678")


def simulate(job: Path, sites: Sequence[str], work: Path, log: Path, timeout: float) -> Iterator[JobProgress]:
    """Run a job, and return its progress after each change until it has ended.

    Args:
        job: exported job; components that report its progress are added to it.
        work: an empty folder for all files of the simulator; see `collect_results`.
        log: file for everything that the simulator prints.
        timeout: seconds until the simulation is terminated.

    Raises:
        Failed: the timeout expired, the process of a site exited, or the job failed.
    """
    _allow_classes(work)
    _report_progress(job)
    command = [
        sys.executable, "-m", SIMULATOR_MODULE, str(job), "-w", str(work),
        "-c", ",".join(sites), "-t", str(len(sites)), "-m", str(len(sites)),
    ]  # fmt: skip
    # The simulator creates sockets in the temporary folder, whose path Linux limits to 107 characters.
    is_short = len(tempfile.gettempdir()) <= _MAX_TEMPORARY_PATH
    folder = tempfile.gettempdir() if is_short else "/tmp"  # noqa: S108
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "deploy.simulation.simulator_process", str(timeout), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=work,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": folder},
            text=True,
            errors="replace",
            start_new_session=True,
        )
    assert supervisor.stdin is not None and supervisor.stdout is not None
    try:
        yield from _follow(supervisor, work / "server" / RUN)
        result = supervisor.stdout.read().strip()
    finally:
        supervisor.stdin.close()  # terminates the simulation if it is still running
        supervisor.wait()
    _check_result(result, work, sites, timeout)


def _follow(supervisor: subprocess.Popen[str], results: Path) -> Iterator[JobProgress]:
    """Read the progress until the supervisor has exited, and then once more."""
    last, is_over = None, False
    while not is_over:
        is_over = _exits_within(supervisor, POLL_INTERVAL)
        progress = read_progress(final_progress([results]))
        if progress is not None and progress != last:
            last = progress
            yield progress


def _exits_within(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def collect_results(work: Path, sites: Sequence[str], folder: Path) -> None:
    """Move the results of a simulation to `folder`, sorted as `flarefleet fetch` sorts them."""
    run, recorded = work / "server" / RUN, work / EVENT_FILES
    if (run / EVENT_FILES).is_dir():
        (run / EVENT_FILES).rename(recorded)
    sort_run(run, folder)
    if recorded.is_dir():
        add_event_files(recorded, folder / "tb_events", sites)
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    for name in ("server", *sites):
        log = work / name / "log.txt"
        if log.is_file():
            shutil.copy2(log, logs / f"{name}.log.txt")


def _check_result(result: str, work: Path, sites: Sequence[str], timeout: float) -> None:
    kind, _, detail = result.partition(" ")
    if (kind, detail) == ("exited", "0"):
        return
    if kind == "timeout":
        raise Failed(
            f"the simulation did not end within {timeout:.0f} s and was terminated. Its logs: {work}"
        )
    if kind == "lost":
        raise Failed(
            f"the process of {detail} exited before the end of the simulation. "
            f"Its log: {work / detail / 'log.txt'}"
        )
    if kind != "exited":
        raise FlarefleetError(f"the result of the simulation is unknown: {result!r}. Its logs: {work}")
    raise Failed(_failure_text(work, sites, detail))


def _failure_text(work: Path, sites: Sequence[str], code: str) -> str:
    """Return the errors of the sites, or else of the server."""
    lines = [f"the simulation failed (exit status {code}). Its logs: {work}"]
    errors = {}
    for name in (*sites, "server"):
        log = work / name / "error_log.txt"
        errors[name] = last_error(log.read_text("utf-8", errors="replace")) if log.is_file() else ""
    for name in [name for name in sites if errors[name]] or ["server"]:
        if errors[name]:
            lines += [f"{name}:", *(f"  {line}" for line in errors[name].splitlines())]
    return "\n".join(lines)


def _report_progress(job: Path) -> None:
    """Add the components that a kit adds to each job: logged values reach the server, which tracks them."""
    analytics = {"id": "analytics", "path": "fl_app.tracking.job.JobAnalytics", "args": {}}
    components = {
        "server": [
            {"id": "progress", "path": "fl_app.telemetry.job.JobTelemetry", "args": {"live": True}},
            {**analytics, "args": {"folder": EVENT_FILES}},
        ],
        "client": [analytics],
    }
    for role, added in components.items():
        for file in job.glob(f"*/config/config_fed_{role}.json"):
            config = json.loads(file.read_text(encoding="utf-8"))
            config.setdefault("components", []).extend(added)
            file.write_text(json.dumps(config, indent=2), encoding="utf-8")


def _allow_classes(work: Path) -> None:
    """Allow the simulated sites the same component classes as the sites of a federation."""
    from deploy.project.allowed_components import allowed_classes

    file = work / "local" / "resources.json"
    file.parent.mkdir(parents=True)
    policy = {"format_version": 2, "class_allow_list": allowed_classes(None)}
    file.write_text(json.dumps(policy), encoding="utf-8")

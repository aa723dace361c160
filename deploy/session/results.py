"""Sort the results of a finished job into folders: model, metrics, tb_events, logs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from deploy.errors import Failed, InputError
from deploy.session.job_ids import SHORT_ID
from deploy.session.requests import PermissionDenied
from deploy.session.session import AdminSession, Job
from fl_app.contract import EVENT_FILES_COMPONENT, SITE_LOG_COMPONENT
from fl_app.guard.warnings import WARNINGS_FILE
from fl_app.jobs.shared.journal import MODEL_FOLDER
from fl_app.temporary_folders import temporary_folder

SUMMARY_FILE = "summary.json"
"""File in the results: the job with its status, parameters, rounds and last metrics."""
HISTORY_FILE = "history.json"
"""File in the results: what survival did for the job."""
_LOG_NAMES = {"ERRORLOG_": ".error.log", SITE_LOG_COMPONENT: ".log.txt"}
"""Prefix of a component -> ending of its file in the results; the name of the site is between."""
_INVALID_IN_NAME = re.compile(r"[^A-Za-z0-9._-]")
_METRICS = (".json", ".csv", ".txt")
_NOT_METRICS = ("meta.json", "fl_app.txt", "stats_pool_summary.json", "config_fed_server.json")
_OF_KIT = "flarefleet_"
"""Prefix of files with which the kit's processes report how they ended."""
_NVFLARE_MODELS = "models"
"""Folder of NVFlare's persistor of NumPy arrays."""
_MODELS = (".pt", ".pth", ".npy", ".npz", ".safetensors")
_LOGS = ("log.txt", "log.json", ".log", "log_fl.txt")


def fetch(session: AdminSession, job_id: str, folder: Path) -> Path:
    """Download the results of a job from the server into a new `folder`, and return it.

    It contains `model/`, `metrics/`, `tb_events/SITE/`, `logs/` (the server's, and what sites sent),
    `job/` (as submitted) and `other/`, without the empty ones, `summary.json`, and `history.json` if survival
    intervened.

    Raises:
        InputError: there is no such job, or `folder` exists and is not empty.
        Failed: the job has not ended.
    """
    refuse_existing(folder)
    job = session.job(job_id)
    if not job.is_finished:
        raise Failed(
            f"the job {job_id} has not ended: it is {job.status}. Wait for it: flarefleet watch {job_id}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(f".{folder.name}-", folder.parent) as temporary:
        downloaded = session.download(job_id, temporary / "download")
        results = temporary / "results"
        results.mkdir()
        sort_results(downloaded, results)
        add_components(session, job_id, results)
        (results / SUMMARY_FILE).write_text(json.dumps(job.document(), indent=2), encoding="utf-8")
        if job.history:
            history = [{**one.document(), "line": one.line} for one in job.history]
            (results / HISTORY_FILE).write_text(json.dumps(history, indent=2), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        results.replace(folder)
    return folder


def add_components(session: AdminSession, job_id: str, results: Path) -> None:
    """Add what the server has of a job besides its result archive: logs of sites, and event files.

    Nothing is added if the administrator may not read the logs of the job.
    """
    with suppress(PermissionDenied):
        for name, file in session.components(job_id).items():
            if name == EVENT_FILES_COMPONENT:
                sites = session.job(job_id).deployed_to or session.sites()
                add_event_files(file, results / "tb_events", sites)
                continue
            for prefix, ending in _LOG_NAMES.items():
                if name.startswith(prefix):
                    target = results / "logs" / f"{name.removeprefix(prefix)}{ending}"
                    target.parent.mkdir(exist_ok=True)
                    shutil.move(file, target)


def add_event_files(recorded: Path, into: Path, sites: Collection[str]) -> None:
    """Add the event files that the server recorded, of sites of which the job itself has recorded none.

    A receiver of the job's own names the server by the federation, and the server itself by its own name.

    Args:
        recorded: a folder of event files for the server and each site.
        into: the job's own, in the same form; may be missing.
        sites: names of the sites.
    """
    known = {folder.name for folder in recorded.iterdir()}
    own = {folder.name for folder in into.iterdir()} if into.exists() else set()
    has_server = bool(own - known)
    for name in sorted(known - own):
        if name in sites or not has_server:
            into.mkdir(exist_ok=True)
            shutil.move(recorded / name, into / name)


def default_folder(job: Job) -> Path:
    """Return the folder of a job's results, relative to the working directory: results/NAME-ID."""
    return Path("results", result_name(job))


def result_name(job: Job) -> str:
    """Return the name of a folder for a job: its name, and the beginning of its id."""
    return f"{_INVALID_IN_NAME.sub('_', job.name)}-{job.id[:SHORT_ID]}"


def sort_results(downloaded: Path, into: Path) -> None:
    """Move each file of a downloaded result archive below `into`, to the folder of its kind."""
    files = {file.relative_to(downloaded): file for file in downloaded.rglob("*") if file.is_file()}
    _move({path: file for path, file in files.items() if not path.name.startswith(".__nvfl")}, into)


def sort_run(run: Path, into: Path) -> None:
    """Move the files of a job's run folder on the server, as `sort_results` does."""
    into.mkdir(parents=True, exist_ok=True)
    _move({"workspace" / file.relative_to(run): file for file in run.rglob("*") if file.is_file()}, into)


def refuse_existing(folder: Path) -> None:
    """Check that results can be written to `folder`.

    Raises:
        InputError: it exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not an empty folder; choose a new folder")


def _move(files: dict[Path, Path], into: Path) -> None:
    for path, file in sorted(files.items()):
        kind, name = _destination(path)
        target = into / kind / name
        if target.exists():  # such as x.pt beside app_server/x.pt
            target = into / kind / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)


def _destination(path: Path) -> tuple[str, Path]:
    """Return the folder of a file, and its path there.

    Args:
        path: a path in NVFlare's result archive: job/NAME/..., workspace/... (the run folder), or meta.json.
    """
    if path.parts[0] == "job":
        return "job", Path(*path.parts[2:])
    if path.parts[0] != "workspace":
        return "", path
    inner = Path(*path.parts[1:])
    if inner.name == WARNINGS_FILE:
        return "", Path(inner.name)
    is_of_app = inner.parts[0].startswith("app_") and len(inner.parts) > 1
    short = Path(*inner.parts[1:]) if is_of_app else inner
    if "tb_events" in inner.parts:
        return "tb_events", Path(*inner.parts[inner.parts.index("tb_events") + 1 :])
    if inner.parts[0] == MODEL_FOLDER:
        return "model", inner
    if inner.suffix in _MODELS:
        is_of_nvflare = short.parts[0] == _NVFLARE_MODELS and len(short.parts) > 1
        return "model", Path(*short.parts[1:]) if is_of_nvflare else short
    if inner.name.endswith(_LOGS):
        return "logs", short.with_name(f"server.{inner.name}")
    if is_of_app and "config" in inner.parts:
        return "other", inner
    if inner.parts[0] == "metrics":
        return "metrics", Path(*inner.parts[1:])
    if inner.suffix in _METRICS and inner.name not in _NOT_METRICS and not inner.name.startswith(_OF_KIT):
        return "metrics", short
    return "other", inner

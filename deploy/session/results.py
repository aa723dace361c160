"""Lays a finished job's results out so that a person finds them: model, metrics, tb_events, logs."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.errors import Failed, InputError
from deploy.session.session import AdminSession
from fl_app.jobs.shared.journal import MODEL_FOLDER

_SUBMITTED = "job"
_METRICS = (".json", ".csv", ".txt")
_NOT_METRICS = ("meta.json", "fl_app.txt", "stats_pool_summary.json", "config_fed_server.json")


def fetch(session: AdminSession, job_id: str, folder: Path) -> Path:
    """Download what job `job_id` left on the server into a new `folder`, and return it.

    It holds `model/`, `metrics/`, `tb_events/SITE/`, `logs/` (the server's, and the error log of each site
    that has one),
    `job/` (as it was submitted) and `other/`; those that would be empty are left out.

    Raises:
        InputError: no such job, or `folder` exists and is not empty.
        Failed: the job has not ended.
    """
    refuse_taken(folder)
    job = session.job(job_id)
    if not job.is_finished:
        raise Failed(
            f"the job {job_id} has not ended: it is {job.status}. Wait for it: flarefleet watch {job_id}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
        downloaded = session.download(job_id, Path(made) / "download")
        laid_out = Path(made) / "results"
        laid_out.mkdir()
        _lay_out(downloaded, laid_out)
        for site, log in session.error_logs(job_id).items():
            _write(laid_out / "logs" / f"{site}.error.log", log)
        if folder.exists():
            folder.rmdir()
        laid_out.replace(folder)
    return folder


def lay_out_run(run: Path, into: Path) -> None:
    """Lay out the server's folder of a job's run, without a download: the files are moved."""
    into.mkdir(parents=True, exist_ok=True)
    for file in sorted(run.rglob("*")):
        if file.is_file():
            _put(file, into / _place(Path("workspace", file.relative_to(run))))


def refuse_taken(folder: Path) -> None:
    """See that results can be laid out in `folder`.

    Raises:
        InputError: it exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is not empty, and nothing is overwritten; name a new folder")


def _lay_out(downloaded: Path, into: Path) -> None:
    for file in sorted(downloaded.rglob("*")):
        if not file.is_file() or file.name.startswith(".__nvfl"):
            continue
        _put(file, into / _place(file.relative_to(downloaded)))


def _put(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)


def _place(path: Path) -> Path:
    """Where a file of NVFlare's result archive goes: it has job/, workspace/ (the run's folder) and
    meta.json."""
    if path.parts[0] == _SUBMITTED:
        return Path("job", *path.parts[2:])
    if path.parts[0] != "workspace":
        return path
    inner = Path(*path.parts[1:])
    if "tb_events" in inner.parts:
        return Path("tb_events", *inner.parts[inner.parts.index("tb_events") + 1 :])
    if inner.parts[0] == MODEL_FOLDER:
        return Path("model", inner)
    if inner.suffix in (".pt", ".pth", ".npy", ".npz", ".safetensors"):
        return Path("model", inner.name)
    if inner.name.endswith(("log.txt", "log.json", ".log", "log_fl.txt")):
        return Path("logs", f"server.{inner.name}")
    if inner.parts[0].startswith("app_") and "config" in inner.parts:
        return Path("other", inner)
    if inner.parts[0] == "metrics" or (inner.suffix in _METRICS and inner.name not in _NOT_METRICS):
        return Path("metrics", inner.name)
    return Path("other", inner)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")

"""Receiver for Weights & Biases: one run for each job. W&B's client keeps a copy on disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fl_app.tracking.forward.receiver import RunRefusedError, UnavailableError, is_refusal, key_of
from fl_app.tracking.points import AnyPoint, Kind, ScalarPoint
from fl_app.tracking.queue import QueuedJob

FOLDER = "wandb-runs"
"""Folder of W&B's own files in the queue's folder; `wandb sync` sends offline runs from there."""
INIT_SECONDS = 20
CLOSE_SECONDS = 20.0
"""Timeout for closing a run: W&B's client blocks until all values have arrived at its server."""

_FAILED_START, _FAILED_UPLOAD = "runupserter: failed to init run", "filestream: fatal error"
"""Messages in the log of W&B's client. It raises no error if an upload fails, and then sends nothing."""
_STATUS = re.compile(r"(?:returned error|HTTP) (\d{3})")


@dataclass
class _Run:
    client: Any
    """W&B's object."""
    sites: set[str] = field(default_factory=set)
    """Sites whose step is defined."""
    closing: Future[None] | None = None


class WandB:
    """W&B's server (WANDB_BASE_URL, WANDB_API_KEY), or local files with WANDB_MODE=offline."""

    name = "wandb"
    batch = 1000

    def __init__(self, queue: Path) -> None:
        self._folder = queue / FOLDER
        self._runs: dict[str, _Run] = {}

    def open(self, job: QueuedJob) -> str:
        """See `fl_app.tracking.forward.receiver.Receiver.open`."""
        if job.id not in self._runs:
            self._runs[job.id] = _Run(self._init(job))
        return job.id

    def send(self, job: QueuedJob, points: Sequence[AnyPoint]) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.send`."""
        try:
            for point in points:
                _log(self._runs[job.id], job, point)
        except Exception as error:
            del self._runs[job.id]
            raise _unavailable(error) from error
        self._check_upload(job)

    def close(self, job: QueuedJob) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.close`."""
        opened = self._runs[job.id]
        closing = opened.closing = opened.closing or _start_closing(opened.client, job)
        if not wait([closing], CLOSE_SECONDS).done:
            raise UnavailableError("not all values of the run have arrived yet")
        self._check_upload(job)
        del self._runs[job.id]
        if error := closing.exception():
            raise _unavailable(error) from error
        self._remove_files(job)

    def _init(self, job: QueuedJob) -> Any:
        import wandb

        _check_connection()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = self._files(job)
        try:
            return wandb.init(
                project=os.environ.get("WANDB_PROJECT") or job.project,
                id=job.id,
                name=job.name,
                resume="allow",
                reinit="create_new",
                dir=str(self._folder),
                config={"job_id": job.id, "federation": job.project},
                settings=wandb.Settings(
                    init_timeout=INIT_SECONDS, silent=True, console="off", disable_git=True, disable_code=True
                ),
            )
        except (wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
            raise RunRefusedError(str(error)) from error
        except Exception as error:  # W&B raises any error of its transport
            found = _STATUS.search(self._failure(job, _FAILED_START))
            if self._files(job) != earlier:
                self._remove_files(job)
            if not self._runs:  # W&B's client does not open a run twice, even if it failed to open it
                wandb.teardown(1)
            if found and is_refusal(int(found[1])):
                raise RunRefusedError(f"HTTP {found[1]}: {' '.join(str(error).split())}") from error
            raise _unavailable(error) from error

    def _check_upload(self, job: QueuedJob) -> None:
        if failure := self._failure(job, _FAILED_UPLOAD):
            opened = self._runs.pop(job.id)
            opened.closing = opened.closing or _start_closing(opened.client, job)
            raise RunRefusedError(f"{failure}; send {self._files(job)} with `wandb sync`")

    def _failure(self, job: QueuedJob, message: str) -> str:
        """Return the last failure of a kind in the log of W&B's client, "" if there is none."""
        found = ""
        for log in self._files(job).glob("logs/debug-internal.log"):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
                if f'"msg":"{message}' in line and line.endswith("\n"):
                    record = json.loads(line)
                    found = str(record.get("error") or record["msg"])
        return found

    def _files(self, job: QueuedJob) -> Path:
        """Return the newest folder in which W&B's client keeps a copy of the run that it sends."""
        return max(self._folder.glob(f"wandb/run-*-{job.id}"), default=self._folder / "none")

    def _remove_files(self, job: QueuedJob) -> None:
        """Remove the copy of a run that has arrived or was not opened; offline runs have another name."""
        shutil.rmtree(self._files(job), ignore_errors=True)


def _check_connection() -> None:
    """Check that W&B's server answers: a failed `wandb.init` blocks the run until no other run is open.

    Raises:
        UnavailableError: it does not.
    """
    if os.environ.get("WANDB_MODE", "online") != "online":
        return
    url = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    try:
        urllib.request.urlopen(url, timeout=INIT_SECONDS).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code in (502, 503, 504):
            raise _unavailable(error) from error
    except OSError as error:
        if not isinstance(getattr(error, "reason", None), ssl.SSLError):  # W&B's client decides about these
            raise _unavailable(error) from error


def _log(run: _Run, job: QueuedJob, point: AnyPoint) -> None:
    key, value = key_of(job, point), getattr(point, "value", "")
    if isinstance(point, ScalarPoint):
        site = point.site or job.server
        if site not in run.sites:
            run.sites.add(site)
            run.client.define_metric(f"{site}/step", hidden=True)
            run.client.define_metric(f"{site}/*", step_metric=f"{site}/step")
        # Sites are at different steps at the same time, but W&B's own step must increase.
        run.client.log({key: value, f"{site}/step": point.step})
    elif point.kind is Kind.TEXT:
        run.client.summary[key] = value
    else:
        run.client.config.update({key: value}, allow_val_change=True)


def _start_closing(client: Any, job: QueuedJob) -> Future[None]:
    closing: Future[None] = Future()

    def finish() -> None:
        try:
            client.finish(exit_code=0 if job.status == "FINISHED:COMPLETED" else 1)
        except Exception as error:  # W&B raises any error of its transport
            closing.set_exception(error)
        else:
            closing.set_result(None)

    threading.Thread(target=finish, name="wandb-close", daemon=True).start()
    return closing


def _unavailable(error: BaseException) -> UnavailableError:
    return UnavailableError(f"{type(error).__name__}: {error}")

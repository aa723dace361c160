"""Weights & Biases: one run a job, under the job's id. Its client keeps a copy on disk and sends it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from fl_app.tracking.forward.receiver import Unreachable, key_of
from fl_app.tracking.points import AnyPoint, Kind, Scalar
from fl_app.tracking.queue import QueuedJob

FOLDER = "wandb-runs"
"""Below the queue's folder: W&B's own files; offline runs are sent from there with `wandb sync`."""
INIT_SECONDS = 20
END_SECONDS = 20.0
"""W&B's client ends a run when all of it has arrived: while its server is away, not before that is back."""


class WandB:
    """api.wandb.ai or WANDB_BASE_URL, with WANDB_API_KEY; with WANDB_MODE=offline, files alone."""

    name = "wandb"
    batch = 1000

    def __init__(self, queue: Path) -> None:
        self._folder = queue / FOLDER
        self._runs: dict[str, Any] = {}
        self._prefixes: dict[str, set[str]] = {}
        self._ending: dict[str, Future[None]] = {}

    def open(self, job: QueuedJob, run: str) -> str:
        """See `fl_app.tracking.forward.receiver.Receiver.open`."""
        if job.id not in self._runs:
            self._runs[job.id] = self._init(job)
            self._prefixes[job.id] = set()
        return job.id

    def send(self, job: QueuedJob, run: str, points: Sequence[AnyPoint]) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.send`."""
        self.open(job, run)
        opened = self._runs[job.id]
        try:
            for point in points:
                key = key_of(job, point)
                if isinstance(point, Scalar):
                    site = point.site or job.server
                    self._let_steps_be_its_axis(job.id, opened, site)
                    # Sites are at different steps at one time, and W&B's own step may only grow.
                    opened.log({key: point.value, f"{site}/step": point.step})
                elif point.kind is Kind.TEXT:
                    opened.summary[key] = getattr(point, "value", "")
                else:
                    opened.config.update({key: getattr(point, "value", "")}, allow_val_change=True)
        except Exception as error:
            self._forget(job.id)
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def end(self, job: QueuedJob, run: str) -> None:
        """See `fl_app.tracking.forward.receiver.Receiver.end`."""
        self.open(job, run)
        ending = self._ending.get(job.id) or self._begin_to_end(job)
        if not wait([ending], END_SECONDS).done:
            raise Unreachable("what its client has taken has not all arrived yet")
        self._forget(job.id)
        if error := ending.exception():
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def _begin_to_end(self, job: QueuedJob) -> Future[None]:
        opened, ending = self._runs[job.id], self._ending.setdefault(job.id, Future())

        def finish() -> None:
            try:
                opened.finish(exit_code=0 if job.status == "FINISHED:COMPLETED" else 1)
            except Exception as error:  # W&B raises whatever its transport raised
                ending.set_exception(error)
            else:
                ending.set_result(None)

        threading.Thread(target=finish, name="wandb-end", daemon=True).start()
        return ending

    def _init(self, job: QueuedJob) -> Any:
        import wandb

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        except Exception as error:  # W&B raises whatever its transport raised
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    def _let_steps_be_its_axis(self, job_id: str, opened: Any, site: str) -> None:
        if site not in self._prefixes[job_id]:
            self._prefixes[job_id].add(site)
            opened.define_metric(f"{site}/step", hidden=True)
            opened.define_metric(f"{site}/*", step_metric=f"{site}/step")

    def _forget(self, job_id: str) -> None:
        self._runs.pop(job_id, None)
        self._prefixes.pop(job_id, None)
        self._ending.pop(job_id, None)

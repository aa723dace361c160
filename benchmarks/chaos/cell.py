"""One cell of the matrix: run a job, disturb it, and compare it with an undisturbed run."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos.federation import POLL_SECONDS, ChaosFederation, JobSpec, Observer
from benchmarks.chaos.kills import PROCESSES, Kill
from benchmarks.chaos.trainings import Training, first_after, models_by_round, summarize
from deploy.errors import FlarefleetError
from deploy.session.session import COMPLETED

NORMAL = JobSpec()
LARGE = JobSpec(rounds=4, seconds=1.0, numbers=2_000_000, client="torch")
"""8 MB: an upload of eight seconds through the slow proxy."""
RESTART_SECONDS = 3.0
"""From the end of a part until an administrator, or systemd in place of survival, starts it again."""
GOAL_SECONDS = 30.0
STOCK_SECONDS = 60.0
"""From the end of a fault until stock NVFlare's job counts as lost."""
START_SECONDS = 90.0
UNDER_WAY_SECONDS = 1.0
"""A training that starts earlier after the beginning of a fault had its task already."""
REPORTED = 3
"""Trainings that a failed check names."""


@dataclass(frozen=True)
class Moment:
    """When a fault begins: a part of a training after the site finished a round."""

    round: int = 3
    part: float = 0.5


@dataclass(frozen=True)
class Disturbance:
    """A kill, the job that it disturbs, and the moment."""

    kill: Kill
    spec: JobSpec
    moment: Moment


@dataclass
class Cell:
    """What became of a job."""

    runtime: str
    kill: str
    survives: bool
    client: str = "numpy"
    status: str = ""
    next_training: float | None = None
    """Seconds from the beginning of the fault until a training whose task came later had finished."""
    fault_seconds: float = 0.0
    end: float | None = None
    """Seconds from the beginning of the fault until the job had ended."""
    trained_again: int = 0
    failed: list[str] = field(default_factory=list)
    """Checks that failed, each with its reason."""
    load: float = 0.0
    """Load average of the machine at the end, over one minute."""
    said: str = ""
    """What `flarefleet watch` says at the end, of a cell whose logs are kept."""

    @property
    def is_survived(self) -> bool:
        """Return whether all checks passed."""
        return not self.failed

    @property
    def within_goal(self) -> bool:
        """Return whether the next training finished in time after the end of the fault."""
        return self.next_training is not None and self.next_training - self.fault_seconds <= GOAL_SECONDS

    def document(self) -> dict[str, Any]:
        """Return the cell for JSON."""
        return asdict(self) | {"survived": self.is_survived, "within_goal": self.within_goal}


@dataclass(frozen=True)
class Reference:
    """An undisturbed run of a job."""

    by_round: dict[int, str]
    models: dict[str, bytes]
    seconds: float
    """From the first training's start until the job has ended."""


class Matrix:
    """Run cells on one federation, which is started anew after a cell that failed.

    Args:
        federation: a running federation.
        logs: folder for the logs of failed cells.
        seconds: time limit of a job after its fault has ended.
        keeps_logs: whether to keep the logs of all cells.
    """

    def __init__(
        self,
        federation: ChaosFederation,
        runtime: str,
        logs: Path,
        seconds: float | None = None,
        keeps_logs: bool = False,
    ) -> None:
        self.federation = federation
        self.runtime = runtime
        self.logs = logs
        self.seconds = seconds or (240.0 if federation.survives else STOCK_SECONDS)
        self.keeps_logs = keeps_logs
        self.observer = Observer(federation)
        self._references: dict[JobSpec, Reference] = {}

    def reference(self, spec: JobSpec) -> Reference:
        """Return the undisturbed run of a job; run it first if there is none.

        Raises:
            RuntimeError: it failed.
        """
        if spec not in self._references:
            job_id = self.federation.submit(spec)
            status = self._wait_for_end(job_id, time.time() + 240)
            trainings = self.federation.trainings(job_id)
            if status != COMPLETED:
                raise RuntimeError(f"the undisturbed job is {status}: {self.federation.reasons(job_id)}")
            self._references[spec] = Reference(
                models_by_round(trainings),
                self.federation.models(job_id),
                round(time.time() - min(one.started for one in trainings), 1),
            )
        return self._references[spec]

    def run(self, kill: Kill, spec: JobSpec | None = None, moment: Moment | None = None) -> Cell:
        """Run one cell."""
        federation = self.federation
        spec = spec or (LARGE if kill.mid_upload else NORMAL)
        moment = moment or Moment(2 if kill.mid_upload else 3)
        cell = Cell(self.runtime, kill.name, federation.survives, spec.client, fault_seconds=kill.seconds)
        return self._run(cell, Disturbance(kill, spec, moment))

    def run_two(self, kill: Kill, spec: JobSpec = NORMAL) -> Cell:
        """Disturb two jobs that run at once; each must be equal to the undisturbed one."""
        cell = Cell(self.runtime, f"{kill.name}, two jobs", self.federation.survives, spec.client)
        return self._run(cell, Disturbance(kill, spec, Moment()), jobs=2)

    def _run(self, cell: Cell, disturbance: Disturbance, jobs: int = 1) -> Cell:
        federation = self.federation
        try:
            self._make_ready()
            self.reference(disturbance.spec)
            federation.before_job(disturbance.kill.mid_upload)
            self._disturb(cell, disturbance, [federation.submit(disturbance.spec) for _ in range(jobs)])
        except Exception as error:  # a cell that cannot be run has failed
            cell.failed.append(f"harness: {type(error).__name__}: {error}")
        finally:
            federation.before_job(False)
        cell.load = round(os.getloadavg()[0], 1)
        if cell.failed or self.keeps_logs:
            federation.keep_logs(self.logs / f"{self.runtime} {cell.kill}".replace(" ", "-"))
        if cell.failed:
            self._start_anew()
        return cell

    def _disturb(self, cell: Cell, disturbance: Disturbance, job_ids: list[str]) -> None:
        federation, kill, spec = self.federation, disturbance.kill, disturbance.spec
        known = self.observer.job_ids() or set()
        self._wait_for_moment(disturbance, job_ids[-1])
        actions = [federation.prepare(fault, name) for fault, name in kill.faults]
        begin = time.time()  # to find the targets takes seconds on a cluster
        try:
            for action in actions:
                action()
            while time.time() < begin + kill.seconds:
                time.sleep(POLL_SECONDS)
                self._collect(job_ids)
        finally:
            if kill.seconds:
                for fault, name in kill.faults:
                    federation.end(fault, name)
        if self.runtime in kill.started_again or (self.runtime == PROCESSES and not federation.survives):
            time.sleep(RESTART_SECONDS)
            try:
                federation.up()
            except FlarefleetError as error:
                cell.failed.append(f"not ready again: {error}")
        ends = [self._wait_for_end(job_id, time.time() + self.seconds) for job_id in job_ids]
        cell.end = round(time.time() - begin, 1)
        cell.status = ", ".join(dict.fromkeys(ends))
        for job_id in job_ids:
            trainings = federation.trainings(job_id)
            if found := first_after(trainings, begin + UNDER_WAY_SECONDS, kill.sites):
                cell.next_training = max(cell.next_training or 0.0, round(found.finished - begin, 1))
            self._check(cell, job_id, trainings, spec)
        others = (self.observer.job_ids() or known) - known - set(job_ids)
        if others:
            cell.failed.append(f"same id: new jobs {', '.join(others)}")
        self._finish(cell, job_ids)

    def _finish(self, cell: Cell, job_ids: list[str]) -> None:
        if cell.failed or self.keeps_logs:
            cell.said = self.federation.reasons(job_ids[-1])
        if cell.failed:
            for job_id in job_ids:
                self.observer.abort(job_id)

    def _wait_for_moment(self, disturbance: Disturbance, job_id: str) -> None:
        kill, spec, moment = disturbance.kill, disturbance.spec, disturbance.moment
        site = kill.sites[0] if kill.sites else self.federation.sites[0]
        deadline = time.time() + START_SECONDS + moment.round * (spec.seconds + 20)
        while not any(
            one.site == site and one.round >= moment.round for one in self.federation.trainings(job_id)
        ):
            if time.time() > deadline:
                raise RuntimeError(f"{site} did not finish round {moment.round}")
            time.sleep(0.1)
        if kill.mid_upload:
            self.federation.wait_for_upload(site)
        else:
            time.sleep(moment.part * spec.seconds)

    def _wait_for_end(self, job_id: str, deadline: float) -> str:
        """Return the status of a job when it has ended, or after the deadline."""
        status = "the server does not answer"
        while True:
            self._collect([job_id])
            if job := self.observer.job(job_id):
                status = job.status
                if job.is_finished:
                    return status
            if time.time() > deadline:
                return status
            time.sleep(POLL_SECONDS)

    def _collect(self, job_ids: list[str]) -> None:
        """Read the trainings before a pod and its output go."""
        for job_id in job_ids:
            self.federation.trainings(job_id)

    def _check(self, cell: Cell, job_id: str, trainings: list[Training], spec: JobSpec) -> None:
        reference = self._references[spec]
        summary = summarize(trainings, reference.by_round, self.federation.sites, spec.rounds)
        cell.trained_again += summary.trained_again
        missing = () if self.federation.loses_output and cell.status == COMPLETED else summary.missing
        for check, wrong in (
            ("all rounds", missing),
            ("no round twice", summary.repeated),
            ("equal models", summary.different),
        ):
            if wrong:
                more = f" and {len(wrong) - REPORTED} more" if len(wrong) > REPORTED else ""
                cell.failed.append(f"{check}: {', '.join(wrong[:REPORTED])}{more}")
        if cell.status != COMPLETED:
            cell.failed.insert(0, f"completed: it is {cell.status}")
            return
        models = self.federation.models(job_id)
        unequal = [name for name in reference.models if models.get(name) != reference.models[name]]
        if unequal:
            cell.failed.append(f"equal models: {', '.join(unequal)} in the results")

    def _make_ready(self) -> None:
        if not self.federation.is_ready():
            try:
                self.federation.up()
            except FlarefleetError:
                self._start_anew()

    def _start_anew(self) -> None:
        self.observer.close()
        self.federation.down()
        self.federation.up()

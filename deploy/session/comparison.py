"""Several runs side by side: their parameters, rounds and last metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import InputError
from deploy.session.job_ids import SHORT_ID
from deploy.session.job_result import mean_metrics
from deploy.session.results import SUMMARY_FILE
from fl_app.telemetry.job_progress import PROGRESS_FILE, JobProgress, read_progress

DURATION = "duration_seconds"
"""Key of a job's document, and name of a row."""


@dataclass(frozen=True)
class Run:
    """One job, from the server or from the folder of its results."""

    name: str
    """Name of the job and beginning of its id, or the folder."""
    facts: Mapping[str, Any]
    """Status, DURATION and rounds."""
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float | int]
    """Last value of each metric: of the best model, of the server, mean of the sites, and of each site."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Run:
        """Return the run that a job's document describes: see `Job.document`."""
        progress = read_progress(document.get("progress")) or JobProgress()
        return cls(
            name=f"{document.get('name', '')}-{str(document.get('id', ''))[:SHORT_ID]}",
            facts={
                "status": document.get("status"),
                DURATION: _number(document.get(DURATION)),
                "rounds": progress.round,
            },
            parameters=dict(document.get("parameters") or {}),
            metrics=_metrics(progress),
        )


def read_run(folder: Path) -> Run:
    """Return the run in a folder of `flarefleet fetch`, or of `simulate --fetch`, which has only its metrics.

    Raises:
        InputError: the folder contains no results.
    """
    for name in (SUMMARY_FILE, f"metrics/{PROGRESS_FILE}"):
        file = folder / name
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"{file}: is not valid JSON: {error}") from error
        if not isinstance(document, dict):
            raise InputError(f"{file}: must be a JSON object; fetch the results of the job again")
        if name == SUMMARY_FILE:
            return Run.of(document)
        found = Run.of({"progress": document})
        return Run(str(folder), found.facts, found.parameters, found.metrics)
    raise InputError(f"{folder}: has no {SUMMARY_FILE}; fetch the results of the job: flarefleet fetch JOB")


def _number(value: Any) -> float | int | None:
    return value if isinstance(value, float | int) and math.isfinite(value) else None


@dataclass(frozen=True)
class Row:
    """One property of all runs."""

    group: str
    """`job`, `parameters` or `metrics`."""
    name: str
    values: tuple[Any, ...]
    """Value of each run; None if it has none."""

    @property
    def differs(self) -> bool:
        """Return whether not all runs have the same value."""
        return any(value != self.values[0] for value in self.values)


def compare(runs: Sequence[Run]) -> list[Row]:
    """Return the properties that any of the runs has, in the order in which the first run has them."""
    groups = {
        "job": [run.facts for run in runs],
        "parameters": [run.parameters for run in runs],
        "metrics": [run.metrics for run in runs],
    }
    rows = [
        Row(group, name, tuple(each.get(name) for each in found))
        for group, found in groups.items()
        for name in dict.fromkeys(name for each in found for name in each)
    ]
    return [row for row in rows if any(value is not None for value in row.values)]


def _metrics(progress: JobProgress) -> dict[str, float | int]:
    found: dict[str, float | int] = {}
    if progress.best is not None:
        found |= {f"best model: {progress.best.metric}": progress.best.value}
        found |= {"best model: round": progress.best.round}
    found |= {f"server: {tag}": value for tag, value in sorted(progress.metrics.items())}
    found |= {f"mean of sites: {tag}": value for tag, value in mean_metrics(progress).items()}
    for name, site in sorted(progress.sites.items()):
        found |= {f"{name}: {tag}": value for tag, value in sorted(site.metrics.items())}
    return found

"""Series of a parent's jobs, stored as lines of Prometheus' text format, so that a scrape only joins them.

A server with a thousand sites has a hundred thousand series. They change less often than they are scraped,
and prometheus-client would need most of a second to format them at each scrape.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client.utils import floatToGoString

from fl_app.telemetry.catalogue import JOB_LABELS, JOB_METRICS, JOBS, PER_SITE_METRICS, MetricSpec, Type
from fl_app.telemetry.documents import KIND, MetricsDocument
from fl_app.telemetry.metrics import ParentIdentity
from fl_app.telemetry.parent_jobs import ParentJobs

MAX_SERIES = 160_000
"""Series of all jobs, about 50 MB. A histogram counts as one."""
MAX_SERIES_PER_JOB = 132_000
"""Enough for a thousand sites with a hundred tags each."""

_Lines = dict[tuple[str, ...], bytes]


@dataclass
class _JobSeries:
    label: str
    lines: dict[str, _Lines] = field(default_factory=dict)
    """Lines by metric and labels."""
    count: int = 0


class JobSeries:
    """Store documents of the kind `metrics`, and format their values for a scrape.

    Args:
        identity: the parent.
        jobs: jobs of the parent; they determine which series are shown, and their `job` label.
        drop: called with the reason and number of values that a job dropped itself.
    """

    name = KIND
    document = MetricsDocument

    def __init__(self, identity: ParentIdentity, jobs: ParentJobs, drop: Callable[[str, int], None]) -> None:
        self._identity = identity
        self._known_jobs = jobs
        self._drop = drop
        self._jobs: dict[str, _JobSeries] = {}
        self._lock = threading.Lock()

    def accept(self, job_id: str, document: Any) -> int:
        """Store changed values; return how many were dropped because of a limit."""
        assert isinstance(document, MetricsDocument)
        for reason, number in document.dropped.items():
            self._drop(reason, number)
        label = self._known_jobs.label(job_id)
        if label is None:
            return len(document.values) + len(document.distributions)
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.label != label:
                job = self._jobs[job_id] = _JobSeries(label)
            stored = sum(self._store(job, name, labels, value) for name, labels, value in document.values)
            stored += sum(
                self._store(job, name, labels, (counts, total))
                for name, labels, counts, total in document.distributions
            )
        return len(document.values) + len(document.distributions) - stored

    def _store(self, job: _JobSeries, name: str, labels: Sequence[str], value: Any) -> bool:
        lines = job.lines.setdefault(name, {})
        key = tuple(map(sys.intern, labels))
        if key not in lines:
            if (
                job.count >= MAX_SERIES_PER_JOB
                or sum(other.count for other in self._jobs.values()) >= MAX_SERIES
            ):
                return False
            job.count += 1
        lines[key] = self._lines(job.label, JOBS[name], key, value)
        return True

    def _lines(self, label: str, spec: MetricSpec, key: tuple[str, ...], value: Any) -> bytes:
        identity = self._identity
        base = identity.labels
        if spec.name in PER_SITE_METRICS:
            if identity.role == "server" and key[0]:
                base = identity.labels_of(key[0])
            key = key[1:]
        labels = _labels((*JOB_LABELS, *spec.labels), (*base, label, *key))
        if spec.type is not Type.HISTOGRAM:
            return f"{spec.full_name}{{{labels}}} {floatToGoString(value)}\n".encode()
        counts, total = value
        bounds = [*map(floatToGoString, spec.buckets), "+Inf"]
        rows = [
            f'{spec.full_name}_bucket{{{labels},le="{bound}"}} {float(count)}\n'
            for bound, count in zip(bounds, accumulate(counts), strict=True)
        ]
        rows.append(f"{spec.full_name}_count{{{labels}}} {float(sum(counts))}\n")
        rows.append(f"{spec.full_name}_sum{{{labels}}} {floatToGoString(total)}\n")
        return "".join(rows).encode()

    def expose(self, *, open_metrics: bool) -> list[bytes]:
        """Return the parts of the text in Prometheus' or OpenMetrics' format, up to a hundred thousand."""
        self._known_jobs.refresh()
        known = self._known_jobs.known()
        with self._lock:
            for job_id in [job_id for job_id in self._jobs if job_id not in known]:
                del self._jobs[job_id]
            return self._parts(open_metrics)

    def _parts(self, open_metrics: bool) -> list[bytes]:
        parts: list[bytes] = []
        for spec in JOB_METRICS:
            begin = len(parts)
            if spec.name == "job_info":
                parts.extend(self._job_info())
            for job in self._jobs.values():
                parts.extend(job.lines.get(spec.name, {}).values())
            if len(parts) > begin:
                name = spec.family if open_metrics else spec.full_name
                kind = spec.type.value if open_metrics or spec.type is not Type.INFO else "gauge"
                parts.insert(begin, f"# HELP {name} {spec.meaning}\n# TYPE {name} {kind}\n".encode())
        return parts

    def _job_info(self) -> list[bytes]:
        name, labels = JOBS["job_info"].full_name, (*JOB_LABELS, "job_id")
        jobs = [
            _labels(labels, (*self._identity.labels, job.label, job.id)) for job in self._known_jobs.active()
        ]
        return [f"{name}{{{labels_of_job}}} 1.0\n".encode() for labels_of_job in jobs]


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

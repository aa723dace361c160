"""The series of a parent's jobs: kept as the lines that Prometheus reads, so that a scrape only joins them.

The server of a thousand sites has a hundred thousand of them; prometheus-client would need most of a second
to write them at each scrape, and they change far less often than they are read.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client.utils import floatToGoString

from fl_app.telemetry.catalogue import JOB_LABELS, JOB_METRICS, JOBS, SAID_OF_SITES, Spec, Type
from fl_app.telemetry.documents import KIND, MetricsDocument
from fl_app.telemetry.metrics import Identity
from fl_app.telemetry.roster import Roster

SERIES = 160_000
"""Of all jobs together; about 50 MB. A histogram is one."""
SERIES_OF_JOB = 132_000
"""A thousand sites with a hundred tags each, and room for what else there is."""

_Lines = dict[tuple[str, ...], bytes]


@dataclass
class _JobSeries:
    label: str
    lines: dict[str, _Lines] = field(default_factory=dict)
    """Metric -> labels -> its lines."""
    count: int = 0


class JobSeries:
    """Takes the documents of kind `metrics`, and shows what they say.

    Args:
        identity: the parent's.
        roster: the parent's jobs: whose series are shown, and as what.
        drop: told what a job had to drop by itself: reason and number.
    """

    name = KIND
    document = MetricsDocument

    def __init__(self, identity: Identity, roster: Roster, drop: Callable[[str, int], None]) -> None:
        self._identity = identity
        self._roster = roster
        self._drop = drop
        self._jobs: dict[str, _JobSeries] = {}
        self._lock = threading.Lock()

    def accept(self, job_id: str, document: Any) -> int:
        """Take changed values; return for how many there was no room."""
        assert isinstance(document, MetricsDocument)
        for reason, number in document.dropped.items():
            self._drop(reason, number)
        label = self._roster.label(job_id)
        if label is None:
            return len(document.values) + len(document.distributions)
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or job.label != label:
                job = self._jobs[job_id] = _JobSeries(label)
            taken = sum(self._take(job, name, labels, value) for name, labels, value in document.values)
            taken += sum(
                self._take(job, name, labels, (counts, total))
                for name, labels, counts, total in document.distributions
            )
        return len(document.values) + len(document.distributions) - taken

    def _take(self, job: _JobSeries, name: str, labels: Sequence[str], value: Any) -> bool:
        lines = job.lines.setdefault(name, {})
        key = tuple(map(sys.intern, labels))
        if key not in lines:
            if job.count >= SERIES_OF_JOB or sum(other.count for other in self._jobs.values()) >= SERIES:
                return False
            job.count += 1
        lines[key] = self._write(job.label, JOBS[name], key, value)
        return True

    def _write(self, label: str, spec: Spec, key: tuple[str, ...], value: Any) -> bytes:
        own = self._identity
        of = own.labels
        if spec.name in SAID_OF_SITES:
            of = own.labels_of(key[0]) if own.role == "server" and key[0] else of
            key = key[1:]
        labels = _labels((*JOB_LABELS, *spec.labels), (*of, label, *key))
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
        """Everything that is known of the jobs that are shown, in Prometheus' or OpenMetrics' text format.

        Returns:
            The parts of the text, in their order; there may be a hundred thousand.
        """
        self._roster.sweep()
        known = self._roster.known()
        with self._lock:
            for job_id in [job_id for job_id in self._jobs if job_id not in known]:
                del self._jobs[job_id]
            return self._parts(open_metrics)

    def _parts(self, open_metrics: bool) -> list[bytes]:
        parts: list[bytes] = []
        for spec in JOB_METRICS:
            begin = len(parts)
            if spec.name == "job_info":
                parts.extend(self._active())
            for job in self._jobs.values():
                parts.extend(job.lines.get(spec.name, {}).values())
            if len(parts) > begin:
                name = spec.family if open_metrics else spec.full_name
                kind = spec.type.value if open_metrics or spec.type is not Type.INFO else "gauge"
                parts.insert(begin, f"# HELP {name} {spec.meaning}\n# TYPE {name} {kind}\n".encode())
        return parts

    def _active(self) -> list[bytes]:
        own = self._identity
        name, labels = JOBS["job_info"].full_name, (*JOB_LABELS, "job_id")
        jobs = [_labels(labels, (*own.labels, job.label, job.id)) for job in self._roster.active()]
        return [f"{name}{{{of}}} 1.0\n".encode() for of in jobs]


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))


def _escape(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value

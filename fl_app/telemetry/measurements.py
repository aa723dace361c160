"""Metrics of a job process: current values of its series, pushed to the parent when they change.

Only the latest value of a series is pushed. Memory is therefore bounded by the number of series, even if the
parent does not answer for a long time.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from fl_app.telemetry.catalogue import JOBS, Type
from fl_app.telemetry.documents import KIND, MAX_CHANGES, MAX_LABEL
from fl_app.telemetry.push import Outcome
from fl_app.telemetry.push_gateway import Reason

MAX_TAGS = 100
"""Tags of one site; values of further tags are dropped and counted."""
MAX_SITES = 1024
"""Sites that have series."""
MAX_LABEL_VALUES = 20
"""Values of a label that is neither a tag nor a site."""
_CHANGES_PER_DOCUMENT = MAX_CHANGES // 2
"""Fits into the largest document even if every label has its maximum length."""

_Key = tuple[str, tuple[str, ...]]


class _Histogram:
    def __init__(self, name: str) -> None:
        self.bounds = JOBS[name].buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count an observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Measurements:
    """Series of one job process, as an `Outbox` of its pusher. All methods are thread-safe."""

    kind = KIND

    def __init__(self) -> None:
        self._values: dict[_Key, float | _Histogram] = {}
        self._changed: dict[_Key, None] = {}
        self._sent: list[_Key] = []
        self._label_values: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        self._dropped: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set the value of a gauge, or the total of a counter."""
        self._update(name, labels, lambda before: float(value))

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Add to a counter."""
        self._update(name, labels, lambda before: before + amount)

    def raise_to(self, name: str, total: float, *labels: str) -> None:
        """Raise a counter to a total; a lower total is ignored."""
        self._update(name, labels, lambda before: max(before, float(total)))

    def _update(self, name: str, labels: tuple[str, ...], change: Callable[[float], float]) -> None:
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                before = self._values.get(key, 0.0)
                assert isinstance(before, float)
                self._values[key] = change(before)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                histogram = self._values.setdefault(key, _Histogram(name))
                assert isinstance(histogram, _Histogram)
                histogram.observe(value)

    def _key(self, name: str, labels: tuple[str, ...]) -> _Key | None:
        """Mark a series as changed and return its key; None if a limit is exceeded."""
        key = name, tuple(label[:MAX_LABEL] for label in labels)
        if key not in self._values and not self._is_within_limits(name, key[1]):
            self._dropped[Reason.CAPACITY] += 1
            return None
        self._changed[key] = None
        return key

    def _is_within_limits(self, name: str, labels: tuple[str, ...]) -> bool:
        """Check the number of values of each label, for the values of the labels before it."""
        limits = _limits(name)
        for position, (label, limit) in enumerate(zip(labels, limits, strict=True)):
            known = self._label_values[(name, *labels[:position])]
            if label not in known and len(known) >= limit:
                return False
            known.add(label)
        return True

    def next(self) -> bytes | None:
        """Return a document with values that changed since the last one; None if there are none."""
        with self._lock:
            dropped = self._dropped - self._reported
            if not self._changed and not dropped:
                return None
            self._sent = list(self._changed)[:_CHANGES_PER_DOCUMENT]
            for key in self._sent:
                del self._changed[key]
            self._reported += dropped
            self._in_flight = dropped
            return self._document(dropped)

    def _document(self, dropped: Counter[str]) -> bytes:
        values: list[Any] = []
        distributions: list[Any] = []
        for name, labels in self._sent:
            value = self._values[name, labels]
            if isinstance(value, _Histogram):
                distributions.append([name, labels, value.counts, value.sum])
            else:
                values.append([name, labels, value])
        document = {"values": values, "distributions": distributions, "dropped": dropped}
        return json.dumps(document, separators=(",", ":")).encode()

    def settle(self, outcome: Outcome) -> None:
        """Mark values as changed again if they are to be retried. Refused values are counted as dropped."""
        with self._lock:
            if outcome is Outcome.RETRY:
                self._changed = {**dict.fromkeys(self._sent), **self._changed}
                self._reported -= self._in_flight
            elif outcome is Outcome.REFUSED:
                self._dropped[Reason.CAPACITY] += len(self._sent)
            self._sent = []


def _limits(name: str) -> tuple[int, ...]:
    """Return the maximum number of values of each label of a series in a document."""
    if name == "training_metric":
        return MAX_SITES, MAX_TAGS
    if name == "training_steps_total" or "participant" in JOBS[name].labels:
        return (MAX_SITES,)
    assert JOBS[name].type is not Type.INFO
    return (MAX_LABEL_VALUES,) * len(JOBS[name].labels)

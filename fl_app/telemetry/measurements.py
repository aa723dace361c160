"""What a job process measures: the current values of its series, pushed when they changed.

A value that is replaced before it was sent is never sent, so the parent always gets the latest, however long
it was silent, and the memory is bounded by the number of series.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Any

from fl_app.telemetry.catalogue import JOBS, Type
from fl_app.telemetry.documents import CHANGES, KIND, LABEL_LENGTH
from fl_app.telemetry.intake import Reason
from fl_app.telemetry.push import Outcome

TAGS = 100
"""Of one site; what else it logs is dropped and counted."""
PARTICIPANTS = 1024
"""Sites of which there are series."""
KINDS = 20
"""Values of a label that is neither a tag nor a site."""
_CHANGES = CHANGES // 2
"""Of labels as long as they may be, so many stay below the largest document."""

_Key = tuple[str, tuple[str, ...]]


class _Histogram:
    def __init__(self, name: str) -> None:
        self.bounds = JOBS[name].buckets
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Measurements:
    """The series of one job process; an outbox of its pusher. Every method may be called from any thread."""

    kind = KIND

    def __init__(self) -> None:
        self._values: dict[_Key, float | _Histogram] = {}
        self._changed: dict[_Key, None] = {}
        self._sent: list[_Key] = []
        self._families: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        self._dropped: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._news: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set(self, name: str, value: float, *labels: str) -> None:
        """Say the value of a gauge, or the total of a counter."""
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                self._values[key] = float(value)

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                before = self._values.get(key, 0.0)
                assert isinstance(before, float)
                self._values[key] = before + amount

    def raise_to(self, name: str, total: float, *labels: str) -> None:
        """Raise a counter to a total; it never falls."""
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                before = self._values.get(key, 0.0)
                assert isinstance(before, float)
                self._values[key] = max(before, float(total))

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        with self._lock:
            if (key := self._key(name, labels)) is not None:
                histogram = self._values.setdefault(key, _Histogram(name))
                assert isinstance(histogram, _Histogram)
                histogram.observe(value)

    def _key(self, name: str, labels: tuple[str, ...]) -> _Key | None:
        """The key of a series that has changed; None if there is no room for it."""
        key = name, tuple(label[:LABEL_LENGTH] for label in labels)
        if key not in self._values and not self._has_room(name, key[1]):
            self._dropped[Reason.ROOM] += 1
            return None
        self._changed[key] = None
        return key

    def _has_room(self, name: str, labels: tuple[str, ...]) -> bool:
        """Whether each label may have this value, where the labels before it have theirs."""
        limits = _limits(name)
        for position, (label, limit) in enumerate(zip(labels, limits, strict=True)):
            known = self._families[(name, *labels[:position])]
            if label not in known and len(known) >= limit:
                return False
            known.add(label)
        return True

    def next(self) -> bytes | None:
        """The values that changed since the last document, or a part of them."""
        with self._lock:
            news = self._dropped - self._reported
            if not self._changed and not news:
                return None
            self._sent = list(self._changed)[:_CHANGES]
            for key in self._sent:
                del self._changed[key]
            self._reported += news
            self._news = news
            return self._document(news)

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
        """Mark what was not taken as changed again; what was refused is lost, until it changes."""
        with self._lock:
            if outcome is Outcome.LATER:
                self._changed = {**dict.fromkeys(self._sent), **self._changed}
                self._reported -= self._news
            elif outcome is Outcome.REFUSED:
                self._dropped[Reason.ROOM] += len(self._sent)
            self._sent = []


def _limits(name: str) -> tuple[int, ...]:
    """How many values each label of a series may have in a document."""
    if name == "training_metric":
        return PARTICIPANTS, TAGS
    if name == "training_steps_total" or "participant" in JOBS[name].labels:
        return (PARTICIPANTS,)
    assert JOBS[name].type is not Type.INFO
    return (KINDS,) * len(JOBS[name].labels)

"""Metrics that every parent has."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from fl_app.contract import flarefleet_version, installed_version
from fl_app.telemetry.catalogue import LABELS, PARENTS
from fl_app.telemetry.view import Starting, View

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_NONE: list[Metric] = []


@dataclass(frozen=True)
class ParentIdentity:
    """ParentIdentity of a parent."""

    name: str
    role: str
    """server or client."""
    certificate_expiry: Mapping[str, float] = field(default_factory=dict)
    """Expiry of the certificates `own` and `root`, in seconds since 1970."""
    federation_port: int | None = None
    """Port of a server to which sites connect."""
    project: str = ""
    """Name of the federation; empty if NVFlare was started without `fl_app.startup`."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Return the values of LABELS for this parent."""
        return self.labels_of(self.name)

    def labels_of(self, site: str) -> tuple[str, str, str]:
        """Return the values of LABELS for a series about a site."""
        return self.project, site, self.role


def gauge_of(name: str) -> GaugeMetricFamily:
    """Return a gauge of the catalogue, without values."""
    spec = PARENTS[name]
    return GaugeMetricFamily(spec.full_name, spec.meaning, labels=[*LABELS, *spec.labels])


def counter_of(name: str) -> CounterMetricFamily:
    """Return a counter of the catalogue, without values. The name ends in _total."""
    spec = PARENTS[name]
    return CounterMetricFamily(spec.family, spec.meaning, labels=[*LABELS, *spec.labels])


Source = Callable[[], Iterable[Metric]]
"""Returns its metrics at each scrape."""


class ParentCollector(Collector):
    """Collect a parent's metrics at every scrape. Count sources that fail; they do not affect others.

    Args:
        identity: the parent.
        view: returns the state of the parent.
        sources: further sources of metrics.
    """

    def __init__(
        self, identity: ParentIdentity, view: Callable[[], View], sources: Sequence[Source] = ()
    ) -> None:
        self._identity = identity
        self._view = view
        self._sources = (*sources, ProcessMetrics(identity))
        self._errors = 0

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that the registration collects nothing."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        view = self._view()
        yield self._build()
        yield self._gauge("up", not isinstance(view, Starting))
        yield self._gauge("ready", self._is_ready(view))
        yield self._expiry()
        yield from self._guarded(lambda: list(view.metrics()), _NONE)
        for source in self._sources:
            yield from self._guarded(lambda source=source: list(source()), _NONE)  # type: ignore[misc]
        errors = counter_of("telemetry_errors_total")
        errors.add_metric(self._identity.labels, self._errors)
        yield errors

    def _guarded(self, collect: Callable[[], _T], default: _T) -> _T:
        try:
            return collect()
        except Exception:
            self._errors += 1
            _log.exception("Telemetry: a metric could not be collected")
            return default

    def _is_ready(self, view: View) -> bool:
        return self._guarded(lambda: view.not_ready() is None, False)

    def _gauge(self, name: str, value: float) -> Metric:
        family = gauge_of(name)
        family.add_metric(self._identity.labels, float(value))
        return family

    def _build(self) -> Metric:
        spec = PARENTS["build_info"]
        info = InfoMetricFamily(spec.family, spec.meaning, labels=LABELS)
        values = (installed_version("nvflare") or "", flarefleet_version(), platform.python_version())
        info.add_metric(self._identity.labels, dict(zip(spec.labels, values, strict=True)))
        return info

    def _expiry(self) -> Metric:
        family = gauge_of("certificate_expiry_timestamp_seconds")
        for certificate, expiry in self._identity.certificate_expiry.items():
            family.add_metric((*self._identity.labels, certificate), expiry)
        return family


class ProcessMetrics:
    """Metrics of this process from prometheus-client, with Flarefleet's labels."""

    def __init__(self, identity: ParentIdentity) -> None:
        self._labels = dict(zip(LABELS, identity.labels, strict=True))
        self._collector = ProcessCollector(registry=None)

    def __call__(self) -> Iterable[Metric]:
        """Yield CPU time, memory, open files and start time of the process."""
        for family in self._collector.collect():
            family.samples = [
                Sample(sample.name, {**sample.labels, **self._labels}, sample.value)
                for sample in family.samples
            ]
            yield family

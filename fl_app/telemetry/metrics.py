"""The metrics that every parent has, under the names of the kit."""

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

from fl_app.contract import METRIC_PREFIX, installed_nvflare, kit_version
from fl_app.telemetry.catalogue import LABELS, PARENTS
from fl_app.telemetry.view import Starting, View

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_NONE: list[Metric] = []


@dataclass(frozen=True)
class Identity:
    """Whose telemetry it is."""

    name: str
    role: str
    """server or client."""
    certificate_expiry: Mapping[str, float] = field(default_factory=dict)
    """own, root -> seconds since the epoch."""
    federation_port: int | None = None
    """Of a server: where its sites connect."""
    project: str = ""
    """The federation; empty where NVFlare was started without the kit's start-up."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """The values of LABELS."""
        return self.labels_of(self.name)

    def labels_of(self, site: str) -> tuple[str, str, str]:
        """The values of LABELS for what this parent says of a site."""
        return self.project, site, self.role


def gauge(name: str, help_text: str, *further: str) -> GaugeMetricFamily:
    """A gauge of the kit: prefixed, labelled with project, site and role and whatever is `further`."""
    return GaugeMetricFamily(METRIC_PREFIX + name, help_text, labels=[*LABELS, *further])


def gauge_of(name: str) -> GaugeMetricFamily:
    """The gauge of this name in the catalogue, without values."""
    spec = PARENTS[name]
    return gauge(name, spec.meaning, *spec.labels)


def counter_of(name: str) -> CounterMetricFamily:
    """The counter of this name (with _total) in the catalogue, without values."""
    spec = PARENTS[name]
    return CounterMetricFamily(spec.family, spec.meaning, labels=[*LABELS, *spec.labels])


Source = Callable[[], Iterable[Metric]]
"""Asked for its metrics at each scrape."""


class ParentCollector(Collector):
    """Yields a parent's metrics anew at every scrape; what cannot be had is counted, and spoils nothing else.

    Args:
        identity: whose they are.
        view: the parent as it is now.
        sources: what else there is to tell.
    """

    def __init__(self, identity: Identity, view: Callable[[], View], sources: Sequence[Source] = ()) -> None:
        self._identity = identity
        self._view = view
        self._sources = (*sources, Process(identity))
        self._errors = 0

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Everything there is to tell now."""
        view = self._view()
        yield self._build()
        yield self._gauge("up", not isinstance(view, Starting))
        yield self._gauge("ready", self._is_ready(view))
        yield self._expiry()
        yield from self._ask(lambda: list(view.metrics()), _NONE)
        for source in self._sources:
            yield from self._ask(lambda source=source: list(source()), _NONE)  # type: ignore[misc]
        errors = counter_of("telemetry_errors_total")
        errors.add_metric(self._identity.labels, self._errors)
        yield errors

    def count_error(self) -> None:
        """Something else could not be had."""
        self._errors += 1

    def _ask(self, question: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return question()
        except Exception:
            self._errors += 1
            _log.exception("A metric could not be had")
            return otherwise

    def _is_ready(self, view: View) -> bool:
        return self._ask(lambda: view.not_ready() is None, False)

    def _gauge(self, name: str, value: float) -> Metric:
        family = gauge_of(name)
        family.add_metric(self._identity.labels, float(value))
        return family

    def _build(self) -> Metric:
        spec = PARENTS["build_info"]
        info = InfoMetricFamily(spec.family, spec.meaning, labels=LABELS)
        values = (installed_nvflare() or "", kit_version(), platform.python_version())
        info.add_metric(self._identity.labels, dict(zip(spec.labels, values, strict=True)))
        return info

    def _expiry(self) -> Metric:
        family = gauge_of("certificate_expiry_timestamp_seconds")
        for certificate, expiry in self._identity.certificate_expiry.items():
            family.add_metric((*self._identity.labels, certificate), expiry)
        return family


class Process:
    """prometheus-client's metrics of this process, labelled like all others.

    Args:
        identity: whose they are.
    """

    def __init__(self, identity: Identity) -> None:
        self._labels = dict(zip(LABELS, identity.labels, strict=True))
        self._collector = ProcessCollector(registry=None)

    def __call__(self) -> Iterable[Metric]:
        """Processor time, memory, open files and start of the parent's process."""
        for family in self._collector.collect():
            family.samples = [
                Sample(sample.name, {**sample.labels, **self._labels}, sample.value)
                for sample in family.samples
            ]
            yield family

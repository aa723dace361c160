"""The state of a parent that telemetry serves, and the metrics that every parent has."""

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
from fl_app.telemetry.catalogue import LABELS, PARENTS, Type

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_NONE: list[Metric] = []


@dataclass(frozen=True)
class ParentIdentity:
    """Identity of a parent."""

    name: str
    role: str
    """server or client."""
    certificate_expiry: Mapping[str, float] = field(default_factory=dict)
    """Expiry of the certificates `own` and `root`, in seconds since 1970."""
    ports: tuple[int, ...] = ()
    """Ports on which NVFlare must listen: for job processes, and on a server for sites."""
    project: str = ""
    """Name of the federation; empty if NVFlare was started without `fl_app.startup`."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Return the values of LABELS for this parent."""
        return self.labels_of(self.name)

    def labels_of(self, site: str) -> tuple[str, str, str]:
        """Return the values of LABELS for a series about a site."""
        return self.project, site, self.role


class View:
    """State of a parent. Every method returns immediately and may be called from any thread."""

    def unhealthy(self) -> str | None:
        """Return why the parent must be restarted; None if it is healthy."""
        return None

    def not_ready(self) -> str | None:
        """Return why the parent is not ready; None if it is."""
        return None

    def away(self) -> Mapping[str, float]:
        """Return the sites whose heartbeats are late, each with the seconds since the last."""
        return {}

    def metrics(self) -> Iterable[Metric]:
        """Return the metrics that only this kind of parent has."""
        return ()


class Starting(View):
    """State of a parent before NVFlare runs: healthy, since a failed start exits with a message of its own.

    Args:
        reason: what the parent waits for.
    """

    def __init__(self, reason: str = "starting") -> None:
        self.reason = reason

    def not_ready(self) -> str | None:
        """Return what the parent waits for."""
        return self.reason


def family_of(name: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    """Return a gauge or counter of the catalogue.

    Args:
        name: its name in the catalogue.
        values: values by labels: those of LABELS, then the metric's own.
    """
    spec = PARENTS[name]
    kind = CounterMetricFamily if spec.type is Type.COUNTER else GaugeMetricFamily
    family = kind(spec.family, spec.meaning, labels=[*LABELS, *spec.labels])
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


Source = Callable[[ParentIdentity], Iterable[Metric]]
"""Returns its metrics at each scrape."""


class ParentCollector(Collector):
    """Collect a parent's metrics at every scrape. Count sources that fail; they do not affect others.

    Args:
        identity: the parent.
        view: returns the state of the parent.
        not_ready: returns why the parent is not ready.
        sources: further sources of metrics.
    """

    def __init__(
        self,
        identity: ParentIdentity,
        view: Callable[[], View],
        not_ready: Callable[[], str | None],
        sources: Sequence[Source] = (),
    ) -> None:
        self._identity = identity
        self._view = view
        self._not_ready = not_ready
        self._sources = (*sources, process_metrics)
        self._errors = 0

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        view, labels = self._view(), self._identity.labels
        yield self._build()
        yield family_of("up", {labels: not isinstance(view, Starting)})
        yield family_of("ready", {labels: self._guarded(lambda: self._not_ready() is None, False)})
        expiry = self._identity.certificate_expiry
        yield family_of(
            "certificate_expiry_timestamp_seconds", {(*labels, name): time for name, time in expiry.items()}
        )
        yield from self._guarded(lambda: list(view.metrics()), _NONE)
        for source in self._sources:
            yield from self._guarded(lambda source=source: list(source(self._identity)), _NONE)  # type: ignore[misc]
        yield family_of("telemetry_errors_total", {labels: self._errors})

    def _guarded(self, collect: Callable[[], _T], default: _T) -> _T:
        try:
            return collect()
        except Exception:  # the other metrics are still served, and this counts
            self._errors += 1
            _log.exception("Telemetry: a metric could not be collected")
            return default

    def _build(self) -> Metric:
        spec = PARENTS["build_info"]
        info = InfoMetricFamily(spec.family, spec.meaning, labels=LABELS)
        values = (installed_version("nvflare") or "", flarefleet_version(), platform.python_version())
        info.add_metric(self._identity.labels, dict(zip(spec.labels, values, strict=True)))
        return info


def process_metrics(identity: ParentIdentity) -> Iterable[Metric]:
    """Yield prometheus-client's metrics of this process: CPU time, memory, open files and start time."""
    labels = dict(zip(LABELS, identity.labels, strict=True))
    for family in ProcessCollector(registry=None).collect():
        family.samples = [
            Sample(sample.name, {**sample.labels, **labels}, sample.value) for sample in family.samples
        ]
        yield family

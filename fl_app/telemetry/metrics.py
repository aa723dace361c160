"""The metrics that every parent has, under the names of the kit."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from fl_app.contract import METRIC_PREFIX, installed_nvflare, kit_version
from fl_app.telemetry.view import Starting, View

LABELS = ("site", "role")

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

    @property
    def labels(self) -> tuple[str, str]:
        """The values of LABELS."""
        return self.name, self.role


def gauge(name: str, help_text: str, *further: str) -> GaugeMetricFamily:
    """A gauge of the kit: prefixed, labelled with site and role and whatever is `further`."""
    return GaugeMetricFamily(METRIC_PREFIX + name, help_text, labels=[*LABELS, *further])


def registered_gauge() -> GaugeMetricFamily:
    """Which sites are registered: the server's view of each, and each site's own."""
    return gauge(
        "registered", "1 if the site is registered and its last contact is fresh, as `role` sees it."
    )


def contact_gauge() -> GaugeMetricFamily:
    """When server and site last heard of each other."""
    return gauge(
        "last_contact_timestamp_seconds", "When server and site last heard of each other, as `role` sees it."
    )


def jobs_gauge() -> GaugeMetricFamily:
    """Jobs by NVFlare's status."""
    return gauge(
        "jobs", "Jobs by status: all of the store on the server, the running ones on a site.", "status"
    )


class ParentCollector(Collector):
    """Yields a parent's metrics anew at every scrape; what cannot be had is counted, and spoils nothing else.

    Args:
        identity: whose they are.
        view: the parent as it is now.
    """

    def __init__(self, identity: Identity, view: Callable[[], View]) -> None:
        self._identity = identity
        self._view = view
        self._errors = 0

    def collect(self) -> Iterable[Metric]:
        """Everything there is to tell now."""
        view = self._view()
        yield self._build()
        yield self._gauge(
            "up", "1 once NVFlare's parent runs, 0 while it starts.", not isinstance(view, Starting)
        )
        yield self._gauge("ready", "1 if /readyz says so.", self._is_ready(view))
        yield self._expiry()
        yield from self._ask(lambda: list(view.metrics()), _NONE)
        errors = CounterMetricFamily(
            METRIC_PREFIX + "telemetry_errors", "Metrics that could not be had at a scrape.", labels=LABELS
        )
        errors.add_metric(self._identity.labels, self._errors)
        yield errors

    def _ask(self, question: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return question()
        except Exception:
            self._errors += 1
            _log.exception("A metric could not be had")
            return otherwise

    def _is_ready(self, view: View) -> bool:
        return self._ask(lambda: view.not_ready() is None, False)

    def _gauge(self, name: str, help_text: str, value: float) -> Metric:
        family = gauge(name, help_text)
        family.add_metric(self._identity.labels, float(value))
        return family

    def _build(self) -> Metric:
        info = InfoMetricFamily(METRIC_PREFIX + "build", "The releases that run here.", labels=LABELS)
        info.add_metric(
            self._identity.labels,
            {
                "nvflare": installed_nvflare() or "",
                "flarefleet": kit_version(),
                "python": platform.python_version(),
            },
        )
        return info

    def _expiry(self) -> Metric:
        family = gauge(
            "certificate_expiry_timestamp_seconds", "When a certificate of the kit expires.", "certificate"
        )
        for certificate, expiry in self._identity.certificate_expiry.items():
            family.add_metric((*self._identity.labels, certificate), expiry)
        return family

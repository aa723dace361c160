"""A Prometheus under test, queried over its HTTP API, and the queries without a result."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.unit.monitoring.boards import (
    PanelQuery,
    as_grafana_asks,
    panel_queries,
    rule_selectors,
    variable_queries,
)

GPU = "no NVIDIA driver on this machine"
PODS = "jobs run as processes of their parent, not as pods"
ERRORS = "a kind of error has a series only after an error, and the job has none"
WARNINGS = "a rule has a series only after a warning, and the job has none"
TRACKER = "no tracker is configured"
EMPTY = {
    "nvflare_gpu_utilization_ratio": GPU,
    "nvflare_gpu_memory_used_bytes": GPU,
    "nvflare_gpu_memory_total_bytes": GPU,
    "nvflare_job_pods": PODS,
    "nvflare_job_pod_pending_timestamp_seconds": PODS,
    "nvflare_job_errors_total": ERRORS,
    "nvflare_job_warnings_total": WARNINGS,
    "nvflare_tracking_backlog": TRACKER,
    "nvflare_tracking_sent_total": TRACKER,
    "nvflare_tracking_failed_total": TRACKER,
}
"""Metrics that a healthy federation of processes lacks while it runs a job, with the reason."""
STARTED = "this metric exists only while a job pod is pending"
EMPTY_WITH_PODS = {
    metric: STARTED if "pending" in metric else reason
    for metric, reason in EMPTY.items()
    if metric != "nvflare_job_pods"
}
"""The same for a federation in a cluster with a site that runs its jobs in pods."""


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Args:
        get: returns the response to GET /api/v1/PATH.
    """

    get: Callable[[str], Any]

    @classmethod
    def at(cls, url: str) -> Prometheus:
        """Query a Prometheus that this machine can reach."""

        def get(path: str) -> Any:
            with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]

        return cls(get)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that match the expression now."""
        return self.get(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]

    def label_values(self, series: str, label: str) -> list[str]:
        """Return the values of a label, as Grafana lists them for a variable."""
        return self.get(f"label/{label}/values?{urllib.parse.urlencode({'match[]': series})}")

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its last evaluation."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def up(self, project: str) -> dict[str, str]:
        """Return the health of each scraped site of a federation."""
        targets = (one for one in self.get("targets")["activeTargets"] if one["labels"]["project"] == project)
        return {one["labels"]["site"]: one["health"] for one in targets}


def is_excused(query: str, empty: Iterable[str]) -> bool:
    """Return whether a query uses a metric that is missing for a known reason."""
    return any(metric in query for metric in empty)


def queries_without_result(
    prometheus: Prometheus, project: str, seconds: float, empty: Iterable[str], window: str = "10s"
) -> list[PanelQuery]:
    """Return the queries of all panels, alerts and variables that had no result in that time.

    Args:
        prometheus: the Prometheus to query.
        project: name of the federation.
        seconds: how long to repeat the queries; a job must be running.
        empty: metrics that do not exist here.
        window: value of $__rate_interval, four scrapes.
    """
    waiting: dict[PanelQuery, Callable[[], Any]] = {}
    for asked in [*panel_queries(), *rule_selectors()]:
        if not is_excused(asked.query, empty):
            expression = as_grafana_asks(asked.query, project, window)
            waiting[asked] = lambda expression=expression: prometheus.query(expression)
    for by, series, label in variable_queries():
        match = as_grafana_asks(series, project)
        waiting[PanelQuery(by, series)] = lambda match=match, label=label: prometheus.label_values(
            match, label
        )
    deadline = time.monotonic() + seconds
    while waiting and time.monotonic() < deadline:
        waiting = {asked: look for asked, look in waiting.items() if not look()}
        time.sleep(0.5 if waiting else 0)
    return list(waiting)

"""A Prometheus under test, asked over its HTTP interface, and which questions it could not answer."""

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

GPU = "no GPU here: without an NVIDIA driver telemetry has no such series"
PODS = "jobs are processes of their parent here, no pods"
ERRORS = "a kind of error has a series once there was one, and `hospital` makes none"
TRACKER = "hospital sends what it logs to no tracker but TensorBoard's event files"
EMPTY = {
    "nvflare_gpu_utilization_ratio": GPU,
    "nvflare_gpu_memory_used_bytes": GPU,
    "nvflare_gpu_memory_total_bytes": GPU,
    "nvflare_job_pods": PODS,
    "nvflare_job_pod_pending_timestamp_seconds": PODS,
    "nvflare_job_errors_total": ERRORS,
    "nvflare_tracking_backlog": TRACKER,
    "nvflare_tracking_sent_total": TRACKER,
    "nvflare_tracking_failed_total": TRACKER,
}
"""Metrics that a healthy federation of processes that runs `hospital` does not have, and why."""
STARTED = "every job's pod runs: this one is there only while one waits"
EMPTY_WITH_PODS = {
    metric: STARTED if "pending" in metric else reason
    for metric, reason in EMPTY.items()
    if metric != "nvflare_job_pods"
}
"""The same of one in a cluster, a site of which runs its jobs in pods."""


@dataclass(frozen=True)
class Prometheus:
    """One that runs.

    Args:
        get: what answers GET /api/v1/PATH.
    """

    get: Callable[[str], Any]

    @classmethod
    def at(cls, url: str) -> Prometheus:
        """One that this machine reaches."""

        def get(path: str) -> Any:
            with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]

        return cls(get)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that answer it now."""
        return self.get(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]

    def label_values(self, series: str, label: str) -> list[str]:
        """What Grafana offers for a variable."""
        return self.get(f"label/{label}/values?{urllib.parse.urlencode({'match[]': series})}")

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, with how its last evaluation went."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def up(self, project: str) -> dict[str, str]:
        """The sites of a federation that are scraped, and whether they answer."""
        targets = (one for one in self.get("targets")["activeTargets"] if one["labels"]["project"] == project)
        return {one["labels"]["site"]: one["health"] for one in targets}


def is_excused(query: str, empty: Iterable[str]) -> bool:
    """Whether a query is about something that is not there for a reason."""
    return any(metric in query for metric in empty)


def unanswered(
    prometheus: Prometheus, project: str, seconds: float, empty: Iterable[str], window: str = "10s"
) -> list[PanelQuery]:
    """The queries of all panels, alerts and variables that brought nothing in that time.

    Args:
        prometheus: whom to ask.
        project: the federation.
        seconds: for how long to ask again; a job must be running meanwhile.
        empty: metrics that nobody has here.
        window: for $__rate_interval, four scrapes.
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

"""Common queries, with Grafana's window for rates."""

from __future__ import annotations

from maintenance.dashboards.frame import PROJECT

WINDOW = "$__rate_interval"
RANGE = "$__range"
"""The time range of the dashboard."""

ANY = f'{PROJECT}, site=~"$site"'
"""The selected sites, including the server if selected."""
SERVER = f'{PROJECT}, role="server"'
"""Reported by the server."""
SITE = f'{PROJECT}, role="client", site=~"$site"'
"""Reported by the selected sites."""
SERVER_SITES = f'{PROJECT}, role="server", site=~"$site"'
"""Reported by the server about the selected sites."""
JOB = f'{PROJECT}, role="server", job=~"$job"'
"""Reported by the server's job process about the selected jobs."""
SITE_JOB = f'{SITE}, job=~"$job"'
"""Reported by the selected sites' job processes about the selected jobs."""
ANY_JOB = f'{PROJECT}, job=~"$job"'


def rate(metric: str, labels: str, by: str = "") -> str:
    """Return the rate of a counter per second, summed by labels."""
    return f"sum{_by(by)} (rate(nvflare_{metric}{{{labels}}}[{WINDOW}]))"


def increase(metric: str, labels: str, by: str = "", over: str = WINDOW) -> str:
    """Return the increase of a counter over a time, summed by labels.

    It is rounded: Prometheus extrapolates to the ends of the time, and one event may count as 0.97 or 1.01.
    """
    return f"round(sum{_by(by)} (increase(nvflare_{metric}{{{labels}}}[{over}])))"


def mean(histogram: str, labels: str, by: str) -> str:
    """Return the recent mean of a histogram in seconds."""
    total, count = (rate(f"{histogram}_seconds_{part}", labels, by) for part in ("sum", "count"))
    return f"{total} / {count}"


def quantile(share: float, histogram: str, labels: str, by: str) -> str:
    """Return a recent quantile of a histogram in seconds."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_seconds_bucket', labels, f'{by}, le')})"


def free_share(labels: str) -> str:
    """Return the free share of each workspace."""
    free, used = (f"nvflare_workspace_{kind}_bytes{{{labels}}}" for kind in ("free", "used"))
    return f"{free} / ({free} + {used})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""

"""The shapes of query that come up again and again, with Grafana's own window for rates."""

from __future__ import annotations

from maintenance.dashboards.frame import PROJECT

WINDOW = "$__rate_interval"
RANGE = "$__range"
"""All of the time that the dashboard shows."""

ANY = f'{PROJECT}, site=~"$site"'
"""The chosen sites, the server too where it is chosen."""
SERVER = f'{PROJECT}, role="server"'
"""As the server tells it."""
SITE = f'{PROJECT}, role="client", site=~"$site"'
"""As the chosen sites tell it themselves."""
SITES_SEEN = f'{PROJECT}, role="server", site=~"$site"'
"""What the server tells of the chosen sites."""
JOB = f'{PROJECT}, role="server", job=~"$job"'
"""What the server's job process tells of the chosen jobs."""
SITE_JOB = f'{SITE}, job=~"$job"'
"""What the chosen sites' job processes tell of the chosen jobs."""
ANY_JOB = f'{PROJECT}, job=~"$job"'


def rate(metric: str, labels: str, by: str = "") -> str:
    """A counter's growth per second, summed by labels."""
    return f"sum{_by(by)} (rate(nvflare_{metric}{{{labels}}}[{WINDOW}]))"


def increase(metric: str, labels: str, by: str = "", over: str = WINDOW) -> str:
    """A counter's growth over a time, summed by labels."""
    return f"sum{_by(by)} (increase(nvflare_{metric}{{{labels}}}[{over}]))"


def mean(histogram: str, labels: str, by: str) -> str:
    """The mean of what a histogram in seconds observed lately."""
    total, count = (rate(f"{histogram}_seconds_{part}", labels, by) for part in ("sum", "count"))
    return f"{total} / {count}"


def quantile(share: float, histogram: str, labels: str, by: str) -> str:
    """The value in seconds below which that share of what a histogram observed lately lies."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_seconds_bucket', labels, f'{by}, le')})"


def free_part(labels: str) -> str:
    """The free part of each workspace."""
    free, used = (f"nvflare_workspace_{kind}_bytes{{{labels}}}" for kind in ("free", "used"))
    return f"{free} / ({free} + {used})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""

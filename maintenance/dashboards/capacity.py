"""Dashboard *Capacity*: resource usage and limits."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, Panels, assemble
from maintenance.dashboards.panels import (
    DAY,
    FREE_SHARE,
    GREEN,
    ORANGE,
    RED,
    Column,
    Format,
    Query,
    bars,
    lines,
    stat,
    table,
)
from maintenance.dashboards.queries import ANY, JOB, SERVER, free_share, rate


def board() -> dashboard.Dashboard:
    """Return the dashboard."""
    return assemble(
        "Capacity",
        "Resource usage of all servers and sites that are scraped.",
        (PROJECTS, SITES, JOBS),
        (("Now", _now()), ("Workspaces", _workspaces()), ("Compute", _compute()), ("Work", _work())),
    )


def _now() -> Panels:
    return [
        stat(
            "Parents", "Number of servers and sites that are scraped.", Query(f"count(nvflare_up{{{ANY}}})")
        ),
        stat(
            "Workspaces",
            "Size of all workspaces.",
            Query(f"sum(nvflare_workspace_used_bytes{{{ANY}}})"),
            Format(units.BytesIEC),
        ),
        stat(
            "Fullest workspace",
            "Free share of the fullest workspace.",
            Query(f"min({free_share(ANY)})"),
            FREE_SHARE,
        ),
        stat(
            "Memory",
            "Resident memory of all parents, without their jobs.",
            Query(f"sum(process_resident_memory_bytes{{{ANY}}})"),
            Format(units.BytesIEC),
        ),
        stat(
            "GPUs",
            "Number of GPUs that the parents see.",
            Query(f"count(nvflare_gpu_memory_total_bytes{{{ANY}}})"),
        ),
        stat(
            "GPUs idle",
            "Number of GPUs with an average utilisation below 5 % in the last hour.",
            Query(f"count(avg_over_time(nvflare_gpu_utilization_ratio{{{ANY}}}[1h]) < 0.05)"),
            Format(units.Short, ((None, GREEN), (1, ORANGE))),
        ),
    ]


def _workspaces() -> Panels:
    return [
        lines(
            "Free share",
            "Free share of each workspace. The alert WorkspaceFilling fires below 10 %.",
            Query(f"min by (site) ({free_share(ANY)})", "{{site}}"),
            display=FREE_SHARE,
        ),
        lines(
            "Used",
            "Size of each workspace: jobs, models, logs, metrics.",
            Query(f"max by (site) (nvflare_workspace_used_bytes{{{ANY}}})", "{{site}}"),
            display=Format(units.BytesIEC),
            stacked=True,
        ),
        table(
            "Growth",
            "Growth of each workspace per day, and time until it is full, from the last six hours.",
            ("site", "Site"),
            (
                Column(
                    "Growth per day",
                    f"max by (site) (deriv(nvflare_workspace_used_bytes{{{ANY}}}[6h])) * {DAY:.0f}",
                    Format(units.BytesIEC),
                ),
                Column(
                    "Full in",
                    f"min by (site) (nvflare_workspace_free_bytes{{{ANY}}} / "
                    f"(deriv(nvflare_workspace_used_bytes{{{ANY}}}[6h]) > 0))",
                    Format(units.Seconds, ((None, RED), (DAY, ORANGE), (7 * DAY, GREEN))),
                ),
            ),
            span=24,
        ),
    ]


def _compute() -> Panels:
    return [
        lines(
            "CPU of parents",
            "CPU cores used by each parent, without its jobs.",
            Query(f"sum by (site) (rate(process_cpu_seconds_total{{{ANY}}}[$__rate_interval]))", "{{site}}"),
            span=8,
            stacked=True,
        ),
        lines(
            "Memory of parents",
            "Resident memory of each parent, without its jobs.",
            Query(f"sum by (site) (process_resident_memory_bytes{{{ANY}}})", "{{site}}"),
            display=Format(units.BytesIEC),
            span=8,
            stacked=True,
        ),
        bars(
            "GPU utilisation in the last hour",
            "Average utilisation of each GPU.",
            Query(
                f"max by (site, gpu) (avg_over_time(nvflare_gpu_utilization_ratio{{{ANY}}}[1h]))",
                "{{site}} GPU {{gpu}}",
            ),
            Format(units.PercentUnit),
            span=8,
        ),
    ]


def _work() -> Panels:
    return [
        lines(
            "Jobs started and ended",
            "Jobs per hour, as counted by the server.",
            Query(f"{rate('jobs_started_total', SERVER)} * 3600", "started"),
            Query(f"{rate('jobs_finished_total', SERVER, 'result')} * 3600", "{{result}}"),
            span=8,
        ),
        lines(
            "Rounds",
            "Rounds per hour.",
            Query(f"{rate('round_duration_seconds_count', JOB, 'job')} * 3600", "{{job}}"),
            span=8,
        ),
        lines(
            "Model traffic",
            "Model bytes sent per second by the servers and sites that are scraped.",
            Query(rate("model_sent_bytes_total", f'{ANY}, job=~"$job"', "site"), "{{site}}"),
            display=Format(units.BytesPerSecondIEC),
            span=8,
        ),
    ]

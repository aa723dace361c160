"""Dashboard *Capacity*: what the federation uses, and what will run out first."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, Panels, assemble
from maintenance.dashboards.panels import (
    DAY,
    GREEN,
    ORANGE,
    RED,
    Query,
    Shown,
    Steps,
    bars,
    lines,
    stat,
    table,
)
from maintenance.dashboards.queries import ANY, JOB, SERVER, free_part, rate

LEFT: Steps = ((None, RED), (0.1, ORANGE), (0.2, GREEN))


def board() -> dashboard.Dashboard:
    """The whole dashboard."""
    return assemble(
        "Capacity",
        "What servers and sites use of what they have, of those that can be scraped.",
        (PROJECTS, SITES, JOBS),
        (
            ("Now", _now()),
            ("Workspaces", _workspaces()),
            ("Compute", _compute()),
            ("Work", _work()),
        ),
    )


def _now() -> Panels:
    return [
        stat(
            "Parents",
            "Servers and sites that are scraped now.",
            Query(f"count(nvflare_up{{{ANY}}})"),
            Shown(units.Short),
        ),
        stat(
            "Workspaces",
            "All that lies in the workspaces.",
            Query(f"sum(nvflare_workspace_used_bytes{{{ANY}}})"),
            Shown(units.BytesIEC),
        ),
        stat(
            "Fullest workspace",
            "Free part of the workspace that has the least.",
            Query(f"min({free_part(ANY)})"),
            Shown(units.PercentUnit, LEFT),
        ),
        stat(
            "Memory",
            "Resident memory of all parents, without their jobs.",
            Query(f"sum(process_resident_memory_bytes{{{ANY}}})"),
            Shown(units.BytesIEC),
        ),
        stat(
            "GPUs",
            "GPUs that a parent sees.",
            Query(f"count(nvflare_gpu_memory_total_bytes{{{ANY}}})"),
            Shown(units.Short),
        ),
        stat(
            "GPUs idle",
            "GPUs that were less than a twentieth busy on average in the last hour.",
            Query(f"count(avg_over_time(nvflare_gpu_utilization_ratio{{{ANY}}}[1h]) < 0.05)"),
            Shown(units.Short, ((None, GREEN), (1, ORANGE))),
        ),
    ]


def _workspaces() -> Panels:
    return [
        lines(
            "Free part",
            "Free part of each workspace. Below a tenth the alert WorkspaceFilling fires.",
            Query(f"min by (site) ({free_part(ANY)})", "{{site}}"),
            shown=Shown(units.PercentUnit, LEFT),
        ),
        lines(
            "Used",
            "What lies in each workspace: jobs, models, logs, metrics.",
            Query(f"max by (site) (nvflare_workspace_used_bytes{{{ANY}}})", "{{site}}"),
            shown=Shown(units.BytesIEC),
            stacked=True,
        ),
        table(
            "Growth",
            "What each workspace gained in the last six hours a day, and when it is full if that goes on.",
            ("site", "Site"),
            (
                (
                    Query(
                        f"max by (site) (deriv(nvflare_workspace_used_bytes{{{ANY}}}[6h])) * {DAY:.0f}",
                        "Growth a day",
                    ),
                    Shown(units.BytesIEC),
                ),
                (
                    Query(
                        f"min by (site) (nvflare_workspace_free_bytes{{{ANY}}} / "
                        f"(deriv(nvflare_workspace_used_bytes{{{ANY}}}[6h]) > 0))",
                        "Full in",
                    ),
                    Shown(units.Seconds, ((None, RED), (DAY, ORANGE), (7 * DAY, GREEN))),
                ),
            ),
            span=24,
        ),
    ]


def _compute() -> Panels:
    return [
        lines(
            "CPU of parents",
            "Cores that each parent uses, without its jobs.",
            Query(f"sum by (site) (rate(process_cpu_seconds_total{{{ANY}}}[$__rate_interval]))", "{{site}}"),
            shown=Shown(units.Short),
            span=8,
            stacked=True,
        ),
        lines(
            "Memory of parents",
            "Resident memory of each parent, without its jobs.",
            Query(f"sum by (site) (process_resident_memory_bytes{{{ANY}}})", "{{site}}"),
            shown=Shown(units.BytesIEC),
            span=8,
            stacked=True,
        ),
        bars(
            "GPU use in the last hour",
            "How busy each GPU was on average.",
            Query(
                f"max by (site, gpu) (avg_over_time(nvflare_gpu_utilization_ratio{{{ANY}}}[1h]))",
                "{{site}} GPU {{gpu}}",
            ),
            Shown(units.PercentUnit),
            span=8,
        ),
    ]


def _work() -> Panels:
    return [
        lines(
            "Jobs started and ended",
            "Per hour, as the server counts them.",
            Query(f"{rate('jobs_started_total', SERVER)} * 3600", "started"),
            Query(
                f"{rate('jobs_finished_total', SERVER, 'result')} * 3600",
                "{{result}}",
            ),
            shown=Shown(units.Short),
            span=8,
        ),
        lines(
            "Rounds",
            "Rounds per hour.",
            Query(
                f"{rate('round_duration_seconds_count', JOB, 'job')} * 3600",
                "{{job}}",
            ),
            shown=Shown(units.Short),
            span=8,
        ),
        lines(
            "Models moved",
            "Bytes of models per second, sent by servers and sites that can be scraped.",
            Query(
                rate("model_sent_bytes_total", f'{ANY}, job=~"$job"', "site"),
                "{{site}}",
            ),
            shown=Shown(units.BytesPerSecondIEC),
            span=8,
        ),
    ]

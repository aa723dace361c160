"""Dashboard *Site*: health, resources, GPUs and jobs of a site, as reported by the site."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, Panels, assemble
from maintenance.dashboards.panels import (
    CONTACT_AGE,
    EXPIRY,
    FREE_SHARE,
    GREEN,
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    ORANGE,
    READY,
    RED,
    Column,
    Format,
    Query,
    Steps,
    lines,
    stat,
    table,
    timeline,
)
from maintenance.dashboards.queries import ANY, RANGE, SITE, SITE_JOB, free_share, increase, quantile, rate

FULL: Steps = ((None, GREEN), (0.8, ORANGE), (0.9, RED))


def board() -> dashboard.Dashboard:
    """Return the dashboard."""
    return assemble(
        "Site",
        "State of a site as reported by the site itself, whose metrics must be scraped.",
        (PROJECTS, SITES, JOBS),
        (
            ("Health", _health()),
            ("Resources of the parent", _resources()),
            ("GPUs", _gpus()),
            ("Jobs", _jobs()),
            ("Telemetry", _telemetry()),
        ),
    )


def _health() -> Panels:
    return [
        stat(
            "Ready",
            "Whether all selected sites are ready: registered with the server, with a recent contact.",
            Query(f"min(nvflare_ready{{{SITE}}})"),
            READY,
            empty="no answer",
        ),
        stat(
            "Registered",
            "Whether the selected sites are registered with the server.",
            Query(f"min(nvflare_registered{{{SITE}}})"),
            Format(units.NoUnit, ONE_IS_GOOD, {1: "registered", 0: "not registered"}),
            empty="no answer",
        ),
        stat(
            "Last contact",
            "Time since the server answered the selected sites; the longest.",
            Query(f"time() - min(nvflare_last_contact_timestamp_seconds{{{SITE}}})"),
            CONTACT_AGE,
        ),
        stat(
            "Uptime",
            "Time since the start of the selected sites; the shortest.",
            Query(f"time() - max(process_start_time_seconds{{{ANY}}})"),
            Format(units.Seconds, ((None, ORANGE), (600, GREEN))),
        ),
        stat(
            "Certificate",
            "Time until the first certificate of the selected sites expires.",
            Query(f"min(nvflare_certificate_expiry_timestamp_seconds{{{ANY}}}) - time()"),
            Format(units.Seconds, EXPIRY),
        ),
        stat(
            "Workspace free",
            "Free share of the fullest workspace of the selected sites. Jobs fail if it is full.",
            Query(f"min({free_share(ANY)})"),
            FREE_SHARE,
        ),
        timeline(
            "Readiness",
            "Readiness of each site over time.",
            Query(f"max by (site) (nvflare_ready{{{ANY}}})", "{{site}}"),
            READY,
        ),
        table(
            "Running jobs and rejected heartbeats",
            "Running jobs of each site, and heartbeats that the server rejected in the selected time range. "
            "The server rejects heartbeats if a second process uses the same kit.",
            ("site", "Site"),
            (
                Column("Jobs running", f'max by (site) (nvflare_jobs{{{SITE}, status="RUNNING"}})'),
                Column(
                    "Heartbeats rejected",
                    increase("heartbeats_refused_total", SITE, "site", RANGE),
                    Format(units.Short, NONE_IS_GOOD),
                ),
            ),
            span=12,
        ),
    ]


def _resources() -> Panels:
    return [
        lines(
            "CPU",
            "CPU cores used by the parent, without its jobs, which are separate processes.",
            Query(f"sum by (site) (rate(process_cpu_seconds_total{{{ANY}}}[$__rate_interval]))", "{{site}}"),
            span=8,
        ),
        lines(
            "Memory",
            "Resident memory of the parent, without its jobs.",
            Query(f"sum by (site) (process_resident_memory_bytes{{{ANY}}})", "{{site}}"),
            display=Format(units.BytesIEC),
            span=8,
        ),
        lines(
            "Open files",
            "Open files and connections of the parent, as a share of its limit.",
            Query(f"max by (site) (process_open_fds{{{ANY}}} / process_max_fds{{{ANY}}})", "{{site}}"),
            display=Format(units.PercentUnit, FULL),
            span=8,
        ),
        lines(
            "Workspace used",
            "Size of the workspace: jobs, models, logs, metrics.",
            Query(f"max by (site) (nvflare_workspace_used_bytes{{{ANY}}})", "{{site}}"),
            display=Format(units.BytesIEC),
        ),
        lines(
            "Workspace free",
            "Free space on the workspace volume.",
            Query(f"min by (site) (nvflare_workspace_free_bytes{{{ANY}}})", "{{site}}"),
            display=Format(units.BytesIEC),
        ),
    ]


def _gpus() -> Panels:
    return [
        lines(
            "GPU utilisation",
            "Utilisation of each GPU. A GPU that is idle during training is waiting for data.",
            Query(f"max by (site, gpu) (nvflare_gpu_utilization_ratio{{{ANY}}})", "{{site}} GPU {{gpu}}"),
            display=Format(units.PercentUnit),
        ),
        lines(
            "GPU memory",
            "Used share of each GPU's memory. Above 90 % a larger batch may not fit.",
            Query(
                f"max by (site, gpu) (nvflare_gpu_memory_used_bytes{{{ANY}}} / "
                f"nvflare_gpu_memory_total_bytes{{{ANY}}})",
                "{{site}} GPU {{gpu}}",
            ),
            display=Format(units.PercentUnit, FULL),
        ),
    ]


def _jobs() -> Panels:
    return [
        lines(
            "Task duration",
            "Median and 90th percentile of the time that the site takes for its task in a round.",
            Query(quantile(0.5, "task_duration", SITE_JOB, "site, job"), "{{site}} {{job}} median"),
            Query(quantile(0.9, "task_duration", SITE_JOB, "site, job"), "{{site}} {{job}} 90th percentile"),
            display=Format(units.Seconds),
        ),
        lines(
            "Model traffic",
            "Model bytes per second received from and sent to the server.",
            Query(rate("model_received_bytes_total", SITE_JOB, "site"), "{{site}} received"),
            Query(rate("model_sent_bytes_total", SITE_JOB, "site"), "{{site}} sent"),
            display=Format(units.BytesPerSecondIEC),
        ),
        lines(
            "Training steps",
            "Training steps per second that the job reports.",
            Query(rate("training_steps_total", SITE_JOB, "site, job"), "{{site}} {{job}}"),
            span=8,
        ),
        lines(
            "Job errors",
            "Errors by kind since the start of each job.",
            Query(
                f"sum by (site, job, kind) (nvflare_job_errors_total{{{SITE_JOB}}})",
                "{{site}} {{job}}: {{kind}}",
            ),
            display=Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Job pods",
            "Job pods by phase. If a pod is pending for minutes, see the alert JobPodPending.",
            Query(f"sum by (site, phase) (nvflare_job_pods{{{ANY}}})", "{{site}} {{phase}}"),
            span=8,
            stacked=True,
        ),
    ]


def _telemetry() -> Panels:
    return [
        lines(
            "Dropped",
            "Metrics of jobs that the parent dropped, by reason.",
            Query(increase("telemetry_dropped_total", ANY, "site, reason"), "{{site}}: {{reason}}"),
            display=Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Errors",
            "Metrics that could not be collected at a scrape; see the site's log.",
            Query(increase("telemetry_errors_total", ANY, "site"), "{{site}}"),
            display=Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        table(
            "Releases",
            "Releases of NVFlare and Flarefleet by site. All sites should have the server's releases.",
            ("release", "NVFlare and Flarefleet at site"),
            (
                Column(
                    "Running",
                    "max by (release) (label_join("
                    f'nvflare_build_info{{{ANY}}}, "release", " ", "nvflare", "flarefleet", "site"))',
                ),
            ),
            span=8,
        ),
    ]

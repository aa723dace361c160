"""Dashboard *Site*: one hospital, as it tells itself: health, resources, GPU, its jobs."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, Panels, assemble
from maintenance.dashboards.panels import (
    EXPIRY,
    GREEN,
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    ORANGE,
    RED,
    Query,
    Shown,
    Steps,
    lines,
    stat,
    table,
    timeline,
)
from maintenance.dashboards.queries import (
    ANY,
    RANGE,
    SITE,
    SITE_JOB,
    free_part,
    increase,
    quantile,
    rate,
)

FULL: Steps = ((None, GREEN), (0.8, ORANGE), (0.9, RED))


def board() -> dashboard.Dashboard:
    """The whole dashboard."""
    return assemble(
        "Site",
        "A site as it sees itself. It needs the site's own metrics: the server's Prometheus may not reach "
        "them.",
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
            "Whether all chosen sites are ready: registered with the server, and heard from lately.",
            Query(f"min(nvflare_ready{{{SITE}}})"),
            Shown(units.NoUnit, ONE_IS_GOOD, {1: "ready", 0: "not ready"}),
            empty="no answer",
        ),
        stat(
            "Registered",
            "Whether the server has accepted the chosen sites, as they see it.",
            Query(f"min(nvflare_registered{{{SITE}}})"),
            Shown(units.NoUnit, ONE_IS_GOOD, {1: "registered", 0: "not registered"}),
            empty="no answer",
        ),
        stat(
            "Last contact",
            "The longest time since the server answered one of the chosen sites.",
            Query(f"time() - min(nvflare_last_contact_timestamp_seconds{{{SITE}}})"),
            Shown(units.Seconds, ((None, GREEN), (35, ORANGE), (300, RED))),
        ),
        stat(
            "Up for",
            "The shortest time since one of the chosen sites started.",
            Query(f"time() - max(process_start_time_seconds{{{ANY}}})"),
            Shown(units.Seconds, ((None, ORANGE), (600, GREEN))),
        ),
        stat(
            "Certificate",
            "Time until the first certificate of the chosen sites expires.",
            Query(f"min(nvflare_certificate_expiry_timestamp_seconds{{{ANY}}}) - time()"),
            Shown(units.Seconds, EXPIRY),
        ),
        stat(
            "Workspace free",
            "Free part of the fullest workspace of the chosen sites. None left: jobs fail.",
            Query(f"min({free_part(ANY)})"),
            Shown(units.PercentUnit, ((None, RED), (0.1, ORANGE), (0.2, GREEN))),
        ),
        timeline(
            "Readiness",
            "When each site was ready.",
            Query(f"max by (site) (nvflare_ready{{{ANY}}})", "{{site}}"),
            Shown(units.NoUnit, ONE_IS_GOOD, {1: "ready", 0: "not ready"}),
        ),
        table(
            "Jobs running and heartbeats refused",
            "What each site has to do now, and how often the server refused its heartbeats in the time shown "
            "above. Refusals mean that a second process uses the same kit.",
            ("site", "Site"),
            (
                (
                    Query(f'max by (site) (nvflare_jobs{{{SITE}, status="RUNNING"}})', "Jobs running"),
                    Shown(units.Short),
                ),
                (
                    Query(
                        increase("heartbeats_refused_total", SITE, "site", RANGE),
                        "Heartbeats refused",
                    ),
                    Shown(units.Short, NONE_IS_GOOD),
                ),
            ),
            span=12,
        ),
    ]


def _resources() -> Panels:
    return [
        lines(
            "CPU",
            "Cores that the parent uses. Its jobs are processes of their own and not in this number.",
            Query(f"sum by (site) (rate(process_cpu_seconds_total{{{ANY}}}[$__rate_interval]))", "{{site}}"),
            shown=Shown(units.Short),
            span=8,
        ),
        lines(
            "Memory",
            "Resident memory of the parent, without its jobs.",
            Query(f"sum by (site) (process_resident_memory_bytes{{{ANY}}})", "{{site}}"),
            shown=Shown(units.BytesIEC),
            span=8,
        ),
        lines(
            "Open files",
            "Open files and connections, of as many as the parent may have.",
            Query(
                f"max by (site) (process_open_fds{{{ANY}}} / process_max_fds{{{ANY}}})",
                "{{site}}",
            ),
            shown=Shown(units.PercentUnit, FULL),
            span=8,
        ),
        lines(
            "Workspace used",
            "What lies in the workspace: jobs, models, logs, metrics.",
            Query(f"max by (site) (nvflare_workspace_used_bytes{{{ANY}}})", "{{site}}"),
            shown=Shown(units.BytesIEC),
        ),
        lines(
            "Workspace free",
            "What may still be written to the volume of the workspace.",
            Query(f"min by (site) (nvflare_workspace_free_bytes{{{ANY}}})", "{{site}}"),
            shown=Shown(units.BytesIEC),
        ),
    ]


def _gpus() -> Panels:
    return [
        lines(
            "GPU utilisation",
            "How busy each GPU is. A GPU that idles while its site trains waits for data.",
            Query(f"max by (site, gpu) (nvflare_gpu_utilization_ratio{{{ANY}}})", "{{site}} GPU {{gpu}}"),
            shown=Shown(units.PercentUnit),
        ),
        lines(
            "GPU memory",
            "Used part of each GPU's memory. From nine tenths on a larger batch fails.",
            Query(
                f"max by (site, gpu) (nvflare_gpu_memory_used_bytes{{{ANY}}} / "
                f"nvflare_gpu_memory_total_bytes{{{ANY}}})",
                "{{site}} GPU {{gpu}}",
            ),
            shown=Shown(units.PercentUnit, FULL),
        ),
    ]


def _jobs() -> Panels:
    return [
        lines(
            "Task duration, median and slowest tenth",
            "How long the site takes for its part of a round.",
            Query(quantile(0.5, "task_duration", SITE_JOB, "site, job"), "{{site}} {{job}} median"),
            Query(quantile(0.9, "task_duration", SITE_JOB, "site, job"), "{{site}} {{job}} slowest tenth"),
            shown=Shown(units.Seconds),
        ),
        lines(
            "Models sent and received",
            "Bytes of models per second: received from the server, sent back to it.",
            Query(
                rate("model_received_bytes_total", SITE_JOB, "site"),
                "{{site}} received",
            ),
            Query(
                rate("model_sent_bytes_total", SITE_JOB, "site"),
                "{{site}} sent",
            ),
            shown=Shown(units.BytesPerSecondIEC),
        ),
        lines(
            "Training steps",
            "Steps per second that the training reports.",
            Query(
                rate("training_steps_total", SITE_JOB, "site, job"),
                "{{site}} {{job}}",
            ),
            shown=Shown(units.Short),
            span=8,
        ),
        lines(
            "Errors of jobs",
            "Errors by kind since each job started.",
            Query(
                f"sum by (site, job, kind) (nvflare_job_errors_total{{{SITE_JOB}}})",
                "{{site}} {{job}}: {{kind}}",
            ),
            shown=Shown(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Job pods",
            "Pods of jobs by phase, where jobs are pods. Pending for minutes: see the alert JobPodPending.",
            Query(f"sum by (site, phase) (nvflare_job_pods{{{ANY}}})", "{{site}} {{phase}}"),
            shown=Shown(units.Short),
            span=8,
            stacked=True,
        ),
    ]


def _telemetry() -> Panels:
    return [
        lines(
            "Dropped",
            "What the parent did not take of its jobs' metrics, by reason, in each interval.",
            Query(
                increase("telemetry_dropped_total", ANY, "site, reason"),
                "{{site}}: {{reason}}",
            ),
            shown=Shown(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Errors",
            "Metrics that could not be had at a scrape, in each interval; the site's log says why.",
            Query(
                increase("telemetry_errors_total", ANY, "site"),
                "{{site}}",
            ),
            shown=Shown(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        table(
            "Releases",
            "What runs at each site: 1 in the row of its release. All sites should have the server's.",
            ("release", "NVFlare and Flarefleet at site"),
            (
                (
                    Query(
                        "max by (release) (label_join("
                        f'nvflare_build_info{{{ANY}}}, "release", " ", "nvflare", "flarefleet", "site"))',
                        "Runs",
                    ),
                    Shown(units.Short),
                ),
            ),
            span=8,
        ),
    ]

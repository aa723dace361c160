"""Dashboard *Job*: training progress by site and round, as reported by the server."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, TAGS, Panels, assemble
from maintenance.dashboards.panels import (
    GREEN,
    NONE_IS_GOOD,
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
from maintenance.dashboards.queries import (
    ANY_JOB,
    JOB,
    RANGE,
    SERVER,
    SERVER_SITES,
    SITE_JOB,
    increase,
    mean,
    quantile,
    rate,
)

PARTICIPANTS = f'{JOB}, participant=~"$site"'


def board() -> dashboard.Dashboard:
    """Return the dashboard."""
    return assemble(
        "Job",
        "Training progress of a job. After some minutes a finished job is shown only in past time ranges.",
        (PROJECTS, JOBS, SITES, TAGS),
        (
            ("Now", _now()),
            ("Training", _training()),
            ("Rounds", _rounds()),
            ("Interventions", _interventions()),
            ("Models", _models()),
            ("Tracking", _tracking()),
        ),
    )


def _now() -> Panels:
    return [
        stat(
            "Round",
            "The current round; the highest of the selected jobs.",
            Query(f"max(nvflare_job_round{{{JOB}}})"),
        ),
        stat("Rounds", "Total number of rounds of the job.", Query(f"max(nvflare_job_rounds{{{JOB}}})")),
        stat(
            "Current round duration",
            "Time since the start of the current round of running jobs. After ten minutes compare it with "
            "the previous rounds.",
            Query(
                f"time() - min(nvflare_round_started_timestamp_seconds{{{JOB}}} "
                f"and on (project, job) nvflare_job_info{{{JOB}}})"
            ),
            Format(units.Seconds, ((None, GREEN), (600, ORANGE), (21600, RED))),
            empty="no job runs",
        ),
        stat(
            "Sites in the last round",
            "Number of sites whose results were aggregated; the lowest of the selected jobs.",
            Query(f"min(nvflare_round_sites{{{JOB}}})"),
            Format(units.Short, ((None, RED), (1, GREEN))),
        ),
        stat(
            "Rounds missed",
            "Number of rounds missed by the selected sites in the selected time range.",
            Query(increase("rounds_missed_total", PARTICIPANTS, over=RANGE)),
            Format(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Errors",
            "Errors of the selected jobs since their start, on the server and the sites that are scraped.",
            Query(f"sum(nvflare_job_errors_total{{{ANY_JOB}}}) or vector(0)"),
            Format(units.Short, NONE_IS_GOOD),
        ),
    ]


def _training() -> Panels:
    return [
        lines(
            "$tag",
            "The metric that the clients log, by site. Diverging curves indicate different data.",
            Query(
                f'max by (site, job) (nvflare_training_metric{{{JOB}, site=~"$site", tag=~"$tag"}})',
                "{{site}} {{job}}",
            ),
            repeat="tag",
        )
    ]


def _rounds() -> Panels:
    return [
        lines(
            "Round",
            "The current round of each job. A flat line is a long round.",
            Query(f"max by (job) (nvflare_job_round{{{JOB}}})", "{{job}}"),
            span=8,
        ),
        lines(
            "Round duration",
            "Median and 90th percentile of recent rounds.",
            Query(quantile(0.5, "round_duration", JOB, "job"), "{{job}} median"),
            Query(quantile(0.9, "round_duration", JOB, "job"), "{{job}} 90th percentile"),
            display=Format(units.Seconds),
            span=8,
        ),
        lines(
            "Aggregation",
            "Mean time that the server takes to aggregate the sites' results.",
            Query(mean("aggregation_duration", JOB, "job"), "{{job}}"),
            display=Format(units.Seconds),
            span=8,
        ),
        lines(
            "Task duration by site",
            "Mean time of each site for its task in a round. The slowest site determines the round.",
            Query(mean("task_duration", SITE_JOB, "site, job"), "{{site}} {{job}}"),
            display=Format(units.Seconds),
        ),
        table(
            "Participation",
            "Number of rounds that each site took part in and missed since the start of the job.",
            ("participant", "Site"),
            (
                Column(
                    "Took part", f"sum by (participant) (nvflare_rounds_participated_total{{{PARTICIPANTS}}})"
                ),
                Column(
                    "Missed",
                    f"sum by (participant) (nvflare_rounds_missed_total{{{PARTICIPANTS}}})",
                    Format(units.Short, NONE_IS_GOOD),
                ),
            ),
            span=12,
        ),
    ]


def _interventions() -> Panels:
    return [
        lines(
            "Interventions",
            "How often a part of a job was killed or lost, and repaired, since its start. Each step is "
            "a line in `flarefleet watch`.",
            Query(
                f'sum by (site, job) (nvflare_job_interventions_total{{{JOB}, site=~"$site"}})',
                "{{site}} {{job}}",
            ),
            span=8,
        ),
        bars(
            "Kinds of interventions",
            "Interventions in the selected jobs since their start, by kind; docs/survival.md explains "
            "the kinds.",
            Query(f"sum by (kind) (nvflare_job_interventions_total{{{JOB}}})", "{{kind}}"),
            Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Sites without contact",
            "Time since the server last heard of each site. A round without a quorum waits for its sites.",
            Query(
                f"time() - max by (site) (nvflare_last_contact_timestamp_seconds{{{SERVER_SITES}}})",
                "{{site}}",
            ),
            display=Format(units.Seconds, ((None, GREEN), (60, ORANGE), (900, RED))),
            span=8,
        ),
    ]


def _models() -> Panels:
    return [
        lines(
            "Model traffic of the server",
            "Model bytes per second that the server's job sends to all sites and receives from them.",
            Query(rate("model_sent_bytes_total", JOB, "job"), "{{job}} sent"),
            Query(rate("model_received_bytes_total", JOB, "job"), "{{job}} received"),
            display=Format(units.BytesPerSecondIEC),
        ),
        lines(
            "Training steps by site",
            "Training steps per second that each site reports.",
            Query(rate("training_steps_total", f'{JOB}, site=~"$site"', "site, job"), "{{site}} {{job}}"),
        ),
    ]


def _tracking() -> Panels:
    return [
        lines(
            "Backlog",
            "Number of values of all jobs, kept on disk, that have not been sent to MLflow, Weights & Biases "
            "or another receiver yet.",
            Query(f"sum by (receiver) (nvflare_tracking_backlog{{{SERVER}}})", "{{receiver}}"),
            display=Format(units.Short, ((None, GREEN), (1000, ORANGE), (10000, RED))),
        ),
        bars(
            "Failed",
            "Number of values that a receiver rejected or that did not fit into the queue, since the start "
            "of the server.",
            Query(f"sum by (receiver) (nvflare_tracking_failed_total{{{SERVER}}})", "{{receiver}}"),
            Format(units.Short, NONE_IS_GOOD),
            span=6,
        ),
        lines(
            "Sent",
            "Values per second that each receiver accepted.",
            Query(rate("tracking_sent_total", SERVER, "receiver"), "{{receiver}}"),
            span=6,
        ),
    ]

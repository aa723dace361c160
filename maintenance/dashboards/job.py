"""Dashboard *Job*: how a training goes, site by site and round by round, as the server tells it."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECTS, SITES, TAGS, Panels, assemble
from maintenance.dashboards.panels import (
    GREEN,
    NONE_IS_GOOD,
    ORANGE,
    RED,
    Query,
    Shown,
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
    SITE_JOB,
    increase,
    mean,
    quantile,
    rate,
)

PARTICIPANTS = f'{JOB}, participant=~"$site"'


def board() -> dashboard.Dashboard:
    """The whole dashboard."""
    return assemble(
        "Job",
        "How a job's training goes. A finished job's series stay for some minutes, then only the past shows "
        "it.",
        (PROJECTS, JOBS, SITES, TAGS),
        (
            ("Now", _now()),
            ("Training", _training()),
            ("Rounds", _rounds()),
            ("Models", _models()),
            ("Tracking", _tracking()),
        ),
    )


def _now() -> Panels:
    return [
        stat(
            "Round",
            "The round that runs, of the job that is furthest.",
            Query(f"max(nvflare_job_round{{{JOB}}})"),
            Shown(units.Short),
        ),
        stat(
            "of rounds",
            "How many rounds the job has.",
            Query(f"max(nvflare_job_rounds{{{JOB}}})"),
            Shown(units.Short),
        ),
        stat(
            "This round so far",
            "How long the round has been running, of running jobs. From ten minutes on compare it with the "
            "rounds before.",
            Query(
                f"time() - min(nvflare_round_started_timestamp_seconds{{{JOB}}} "
                f"and on (project, job) nvflare_job_info{{{JOB}}})"
            ),
            Shown(units.Seconds, ((None, GREEN), (600, ORANGE), (21600, RED))),
            empty="no job runs",
        ),
        stat(
            "Sites in the last round",
            "How many sites' results went into the model; the fewest of the chosen jobs.",
            Query(f"min(nvflare_round_sites{{{JOB}}})"),
            Shown(units.Short, ((None, RED), (1, GREEN))),
        ),
        stat(
            "Rounds missed",
            "By the chosen sites, in the time shown above.",
            Query(increase("rounds_missed_total", PARTICIPANTS, over=RANGE)),
            Shown(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Errors",
            "Of the chosen jobs since they started, on the server and every site that can be scraped.",
            Query(f"sum(nvflare_job_errors_total{{{ANY_JOB}}}) or vector(0)"),
            Shown(units.Short, NONE_IS_GOOD),
        ),
    ]


def _training() -> Panels:
    return [
        lines(
            "$tag",
            "What the clients log under this name, by site. Sites that drift apart have data that differ.",
            Query(
                f'max by (site, job) (nvflare_training_metric{{{JOB}, site=~"$site", tag=~"$tag"}})',
                "{{site}} {{job}}",
            ),
            shown=Shown(units.Short),
            repeat="tag",
        ),
    ]


def _rounds() -> Panels:
    return [
        lines(
            "Round",
            "The current round of each job. A flat line is a round that takes long.",
            Query(f"max by (job) (nvflare_job_round{{{JOB}}})", "{{job}}"),
            shown=Shown(units.Short),
            span=8,
        ),
        lines(
            "Round duration",
            "Median and slowest tenth of the rounds that ended lately.",
            Query(quantile(0.5, "round_duration", JOB, "job"), "{{job}} median"),
            Query(quantile(0.9, "round_duration", JOB, "job"), "{{job}} slowest tenth"),
            shown=Shown(units.Seconds),
            span=8,
        ),
        lines(
            "Aggregation",
            "Mean time that the server takes to make one model of the sites' results.",
            Query(
                mean("aggregation_duration", JOB, "job"),
                "{{job}}",
            ),
            shown=Shown(units.Seconds),
            span=8,
        ),
        lines(
            "Task duration by site",
            "Mean time that each site takes for its part of a round; the slowest site sets the pace.",
            Query(
                mean("task_duration", SITE_JOB, "site, job"),
                "{{site}} {{job}}",
            ),
            shown=Shown(units.Seconds),
        ),
        table(
            "Participation",
            "Rounds that each site took part in and missed, since the job started.",
            ("participant", "Site"),
            (
                (
                    Query(
                        f"sum by (participant) (nvflare_rounds_participated_total{{{PARTICIPANTS}}})",
                        "Took part",
                    ),
                    Shown(units.Short),
                ),
                (
                    Query(f"sum by (participant) (nvflare_rounds_missed_total{{{PARTICIPANTS}}})", "Missed"),
                    Shown(units.Short, NONE_IS_GOOD),
                ),
            ),
            span=12,
        ),
    ]


def _models() -> Panels:
    return [
        lines(
            "Models, server",
            "Bytes of models per second that the server's job sends to all sites and receives from them.",
            Query(
                rate("model_sent_bytes_total", JOB, "job"),
                "{{job}} sent",
            ),
            Query(
                rate("model_received_bytes_total", JOB, "job"),
                "{{job}} received",
            ),
            shown=Shown(units.BytesPerSecondIEC),
        ),
        lines(
            "Training steps by site",
            "Steps per second that each site's training reports.",
            Query(
                rate("training_steps_total", f'{JOB}, site=~"$site"', "site, job"),
                "{{site}} {{job}}",
            ),
            shown=Shown(units.Short),
        ),
    ]


def _tracking() -> Panels:
    return [
        lines(
            "Waiting to be sent",
            "Values of all jobs that wait for MLflow, Weights & Biases or another receiver; they are kept "
            "on disk.",
            Query(f"sum by (receiver) (nvflare_tracking_backlog{{{SERVER}}})", "{{receiver}}"),
            shown=Shown(units.Short, ((None, GREEN), (1000, ORANGE), (10000, RED))),
        ),
        bars(
            "Could not be sent",
            "Values that a receiver refused for good or that had no room in the queue, since the server "
            "started.",
            Query(f"sum by (receiver) (nvflare_tracking_failed_total{{{SERVER}}})", "{{receiver}}"),
            Shown(units.Short, NONE_IS_GOOD),
            span=6,
        ),
        lines(
            "Sent",
            "Values per second that a receiver took.",
            Query(
                rate("tracking_sent_total", SERVER, "receiver"),
                "{{receiver}}",
            ),
            shown=Shown(units.Short),
            span=6,
        ),
    ]

"""Dashboard *Federation*: state of the sites, jobs and certificates, as reported by the server."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECT, PROJECTS, SITES, Panels, assemble, link_to_site
from maintenance.dashboards.panels import (
    CONTACT_AGE,
    EXPIRY,
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    READY,
    Column,
    Format,
    Query,
    bars,
    lines,
    stat,
    table,
    timeline,
)
from maintenance.dashboards.queries import ANY_JOB, JOB, RANGE, SERVER, SERVER_SITES, increase, mean

CONNECTED = Format(units.NoUnit, ONE_IS_GOOD, {1: "connected", 0: "disconnected"})


def board() -> dashboard.Dashboard:
    """Return the dashboard."""
    return assemble(
        "Federation",
        "Overview of one federation, as reported by its server.",
        (PROJECTS, SITES, JOBS),
        (("Now", _now()), ("Sites", _sites()), ("Jobs", _jobs()), ("Certificates", _certificates())),
    )


def _now() -> Panels:
    return [
        stat(
            "Server",
            "Whether the server accepts jobs. No answer: it is not scraped; see the alert ServerDown.",
            Query(f"max(nvflare_ready{{{SERVER}}})"),
            READY,
            empty="no answer",
        ),
        stat(
            "Sites connected",
            "Number of sites with a heartbeat within the last 35 seconds.",
            Query(f"sum(nvflare_registered{{{SERVER_SITES}}})"),
            Format(units.Short, ONE_IS_GOOD),
        ),
        stat(
            "Sites disconnected",
            "Number of sites that have been connected since the server started, but are not connected now.",
            Query(f"count(nvflare_registered{{{SERVER_SITES}}} == 0) or vector(0)"),
            Format(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Jobs running",
            "Number of running jobs.",
            Query(f'sum(nvflare_jobs{{{SERVER}, status="RUNNING"}})'),
        ),
        stat(
            "Jobs failed",
            "Number of jobs that failed in the selected time range.",
            Query(increase("jobs_finished_total", f'{SERVER}, result="failed"', over=RANGE)),
            Format(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Alerts",
            "Number of firing alerts of this federation.",
            Query(f'count(ALERTS{{{PROJECT}, alertstate="firing"}}) or vector(0)'),
            Format(units.Short, NONE_IS_GOOD),
        ),
    ]


def _sites() -> Panels:
    return [
        table(
            "Sites",
            "Sites that have been connected since the server started. Click on a site to open its dashboard.",
            ("site", "Site"),
            (
                Column("Connection", f"max by (site) (nvflare_registered{{{SERVER_SITES}}})", CONNECTED),
                Column(
                    "Last contact",
                    f"time() - max by (site) (nvflare_last_contact_timestamp_seconds{{{SERVER_SITES}}})",
                    CONTACT_AGE,
                ),
            ),
            link=link_to_site(),
            span=8,
        ),
        timeline(
            "Connection",
            "Connection of each site over time, as reported by the server.",
            Query(f"max by (site) (nvflare_registered{{{SERVER_SITES}}})", "{{site}}"),
            CONNECTED,
            span=8,
        ),
        lines(
            "Time since last contact",
            "Time since the last heartbeat of each site. Sites send a heartbeat every 10 seconds; after 35 "
            "seconds without one a site is disconnected.",
            Query(
                f"time() - max by (site) (nvflare_last_contact_timestamp_seconds{{{SERVER_SITES}}})",
                "{{site}}",
            ),
            display=CONTACT_AGE,
            span=8,
        ),
    ]


def _jobs() -> Panels:
    return [
        lines(
            "Jobs by status",
            "Number of jobs in the server's store.",
            Query(f"sum by (status) (nvflare_jobs{{{SERVER}}}) > 0", "{{status}}"),
            span=8,
            stacked=True,
        ),
        bars(
            "Progress",
            "Share of completed rounds. A finished job is shown for some minutes.",
            Query(f"max by (job) (nvflare_job_round{{{JOB}}} / nvflare_job_rounds{{{JOB}}})", "{{job}}"),
            Format(units.PercentUnit),
            span=8,
        ),
        lines(
            "Round duration",
            "Mean duration of recent rounds. The slowest site determines the duration of a round.",
            Query(mean("round_duration", JOB, "job"), "{{job}}"),
            display=Format(units.Seconds),
            span=8,
        ),
        lines(
            "Sites in the last round",
            "Number of sites whose results were aggregated.",
            Query(f"max by (job) (nvflare_round_sites{{{JOB}}})", "{{job}}"),
            span=8,
        ),
        bars(
            "Missed rounds by site",
            "Number of rounds in the selected time range without a timely result of the site.",
            Query(
                increase("rounds_missed_total", f'{JOB}, participant=~"$site"', "participant", RANGE),
                "{{participant}}",
            ),
            Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Job errors",
            "Errors by kind since the start of each job, on the server and on the sites that are scraped.",
            Query(f"sum by (job, kind) (nvflare_job_errors_total{{{ANY_JOB}}})", "{{job}}: {{kind}}"),
            display=Format(units.Short, NONE_IS_GOOD),
            span=8,
        ),
    ]


def _certificates() -> Panels:
    return [
        stat(
            "Next expiry",
            "Time until the first certificate of the scraped servers and sites expires.",
            Query(f"min(nvflare_certificate_expiry_timestamp_seconds{{{PROJECT}}}) - time()"),
            Format(units.Seconds, EXPIRY),
            span=6,
        ),
        table(
            "Certificates of parents",
            "Time until the certificate of each scraped server and site expires. Renew it in time: "
            "flarefleet provision --renew.",
            ("site", "Site"),
            (
                Column(
                    "Expires in",
                    f"min by (site) (nvflare_certificate_expiry_timestamp_seconds"
                    f'{{{PROJECT}, certificate="own"}}) - time()',
                    Format(units.Seconds, EXPIRY),
                ),
            ),
            link=link_to_site(),
            span=18,
        ),
    ]

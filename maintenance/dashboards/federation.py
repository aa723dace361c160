"""Dashboard *Federation*: is it well, who is late, what expires soon; all of it as the server tells it."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard, units

from maintenance.dashboards.frame import JOBS, PROJECT, PROJECTS, SITES, Panels, assemble, link_to_site
from maintenance.dashboards.panels import (
    EXPIRY,
    GREEN,
    NONE_IS_GOOD,
    ONE_IS_GOOD,
    ORANGE,
    RED,
    Query,
    Shown,
    bars,
    lines,
    stat,
    table,
    timeline,
)
from maintenance.dashboards.queries import ANY_JOB, JOB, RANGE, SERVER, SITES_SEEN, increase, mean

CONNECTED = Shown(units.NoUnit, ONE_IS_GOOD, {1: "connected", 0: "disconnected"})
CONTACT_AGE = Shown(units.Seconds, ((None, GREEN), (35, ORANGE), (300, RED)))
"""Fresh for three heartbeats of ten seconds; the alert comes after five minutes."""


def board() -> dashboard.Dashboard:
    """The whole dashboard."""
    return assemble(
        "Federation",
        "One federation at a glance, as its server sees it.",
        (PROJECTS, SITES, JOBS),
        (("Now", _now()), ("Sites", _sites()), ("Jobs", _jobs()), ("Certificates", _certificates())),
    )


def _now() -> Panels:
    return [
        stat(
            "Server",
            "Whether the server accepts jobs. No answer: it cannot be scraped; see the alert ServerDown.",
            Query(f"max(nvflare_ready{{{SERVER}}})"),
            Shown(units.NoUnit, ONE_IS_GOOD, {1: "ready", 0: "not ready"}),
            empty="no answer",
        ),
        stat(
            "Sites connected",
            "Sites that the server has heard of within the last 35 seconds.",
            Query(f"sum(nvflare_registered{{{SITES_SEEN}}})"),
            Shown(units.Short, ONE_IS_GOOD),
        ),
        stat(
            "Sites disconnected",
            "Sites that were connected since the server started and are not now.",
            Query(f"count(nvflare_registered{{{SITES_SEEN}}} == 0) or vector(0)"),
            Shown(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Jobs running",
            "Jobs that run now.",
            Query(f'sum(nvflare_jobs{{{SERVER}, status="RUNNING"}})'),
            Shown(units.Short),
        ),
        stat(
            "Jobs failed",
            "Jobs that ended with an error in the time shown above.",
            Query(increase("jobs_finished_total", f'{SERVER}, result="failed"', over=RANGE)),
            Shown(units.Short, NONE_IS_GOOD),
        ),
        stat(
            "Alerts",
            "Alerts of this federation that fire now.",
            Query(f'count(ALERTS{{{PROJECT}, alertstate="firing"}}) or vector(0)'),
            Shown(units.Short, NONE_IS_GOOD),
        ),
    ]


def _sites() -> Panels:
    return [
        table(
            "Sites",
            "Every site that was connected since the server started; a click leads to its dashboard.",
            ("site", "Site"),
            (
                (Query(f"max by (site) (nvflare_registered{{{SITES_SEEN}}})", "Connection"), CONNECTED),
                (
                    Query(
                        f"time() - max by (site) (nvflare_last_contact_timestamp_seconds{{{SITES_SEEN}}})",
                        "Last contact",
                    ),
                    CONTACT_AGE,
                ),
            ),
            link=link_to_site(),
            span=8,
        ),
        timeline(
            "Connection",
            "When each site was connected, as the server saw it.",
            Query(f"max by (site) (nvflare_registered{{{SITES_SEEN}}})", "{{site}}"),
            CONNECTED,
            span=8,
        ),
        lines(
            "Time since last contact",
            "How long the server has not heard of each site. A heartbeat comes every 10 seconds; from 35 "
            "seconds on a site counts as disconnected.",
            Query(
                f"time() - max by (site) (nvflare_last_contact_timestamp_seconds{{{SITES_SEEN}}})", "{{site}}"
            ),
            shown=CONTACT_AGE,
            span=8,
        ),
    ]


def _jobs() -> Panels:
    return [
        lines(
            "Jobs by status",
            "All jobs in the server's store.",
            Query(f"sum by (status) (nvflare_jobs{{{SERVER}}}) > 0", "{{status}}"),
            shown=Shown(units.Short),
            span=8,
            stacked=True,
        ),
        bars(
            "Progress",
            "Rounds done of all rounds. A finished job stays for some minutes.",
            Query(f"max by (job) (nvflare_job_round{{{JOB}}} / nvflare_job_rounds{{{JOB}}})", "{{job}}"),
            Shown(units.PercentUnit),
            span=8,
        ),
        lines(
            "Round duration",
            "Mean time of a round, over all rounds that ended lately. A round is as slow as its slowest "
            "site.",
            Query(
                mean("round_duration", JOB, "job"),
                "{{job}}",
            ),
            shown=Shown(units.Seconds),
            span=8,
        ),
        lines(
            "Sites in the last round",
            "How many sites' results went into the model.",
            Query(f"max by (job) (nvflare_round_sites{{{JOB}}})", "{{job}}"),
            shown=Shown(units.Short),
            span=8,
        ),
        bars(
            "Who is late",
            "Rounds that each site missed in the time shown above, since its result came too late or not at "
            "all.",
            Query(
                increase("rounds_missed_total", f'{JOB}, participant=~"$site"', "participant", RANGE),
                "{{participant}}",
            ),
            Shown(units.Short, NONE_IS_GOOD),
            span=8,
        ),
        lines(
            "Errors of jobs",
            "Errors by kind since each job started, on the server and on the sites that can be scraped.",
            Query(
                f"sum by (job, kind) (nvflare_job_errors_total{{{ANY_JOB}}})",
                "{{job}}: {{kind}}",
            ),
            shown=Shown(units.Short, NONE_IS_GOOD),
            span=8,
        ),
    ]


def _certificates() -> Panels:
    return [
        stat(
            "Next expiry",
            "Time until the first certificate expires, of all that can be scraped.",
            Query(f"min(nvflare_certificate_expiry_timestamp_seconds{{{PROJECT}}}) - time()"),
            Shown(units.Seconds, EXPIRY),
            span=6,
        ),
        table(
            "Certificates of parents",
            "Time until the certificate of each server and site expires, of those that can be scraped. Renew "
            "in time: flarefleet provision --renew.",
            ("site", "Site"),
            (
                (
                    Query(
                        f"min by (site) (nvflare_certificate_expiry_timestamp_seconds"
                        f'{{{PROJECT}, certificate="own"}}) - time()',
                        "Expires in",
                    ),
                    Shown(units.Seconds, EXPIRY),
                ),
            ),
            link=link_to_site(),
            span=18,
        ),
    ]

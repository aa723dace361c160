"""Test cases for promtool: when each alert fires, and when it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DAY = 86400
SERVER = 'project="hospitals", site="flare-server", role="server"'
CLIENT = 'project="hospitals", site="site-1", role="client"'
SEEN = 'project="hospitals", site="site-1", role="server"'
"""Site 1, as reported by the server."""
JOB = f'{SERVER}, job="hospital"'
MISSED = f'nvflare_rounds_missed_total{{{JOB}, participant="site-1"}}'
PARTICIPATED = MISSED.replace("missed", "participated")
UP, DROPPED = f"nvflare_up{{{SERVER}}}", f'nvflare_telemetry_dropped_total{{{CLIENT}, reason="rate"}}'
FAILED = f'nvflare_jobs_finished_total{{{SERVER}, result="failed"}}'
COMPLETED = FAILED.replace("failed", "completed")
PENDING = f'nvflare_job_pod_pending_timestamp_seconds{{{CLIENT}, job="hospital"}}'
EXPIRY = f'nvflare_certificate_expiry_timestamp_seconds{{{CLIENT}, certificate="own"}}'
RUNS = {f'nvflare_job_info{{{JOB}, job_id="4f1c"}}': "1x1000"}

Fired = list[tuple[dict[str, str], str]]
"""Labels besides the alert's name, and the summary."""


@dataclass(frozen=True)
class Case:
    """Series with one sample per minute, and the alerts expected at a minute.

    In promtool's notation `1x5` is 1 six times, `0+3x5` grows by 3, `_` is no sample.
    """

    alert: str
    scenario: str
    series: dict[str, str]
    minute: int
    fires: Fired = field(default_factory=list)

    @property
    def document(self) -> dict[str, Any]:
        expected = [
            {"exp_labels": labels, "exp_annotations": {"summary": summary}} for labels, summary in self.fires
        ]
        at = {"eval_time": f"{self.minute}m", "alertname": self.alert, "exp_alerts": expected}
        series = [{"series": name, "values": values} for name, values in self.series.items()]
        return {"interval": "1m", "input_series": series, "alert_rule_test": [at]}


def fired(severity: str, summary: str, **labels: str) -> Fired:
    return [({"severity": severity, "project": "hospitals", **labels}, summary)]


def connection(up: str, registered: str) -> dict[str, str]:
    return {UP: up, f"nvflare_registered{{{SEEN}}}": registered}


def workspace(free: str, used: str) -> dict[str, str]:
    series = {"free": free, "used": used}
    return {f"nvflare_workspace_{kind}_bytes{{{CLIENT}}}": values for kind, values in series.items()}


def rounds(started: str, total: str, count: str) -> dict[str, str]:
    series = {"started_timestamp_seconds": started, "duration_seconds_sum": total}
    series["duration_seconds_count"] = count
    return {f"nvflare_round_{name}{{{JOB}}}": values for name, values in series.items()}


def participation(missed: str, participated: str) -> dict[str, str]:
    return RUNS | {MISSED: missed, PARTICIPATED: participated}


def membership(registered: str) -> dict[str, str]:
    """A job with two sites, of which only site 1 is ever away."""
    other = 'project="hospitals", site="site-2", role="server"'
    both = participation("0x120", "0x120")
    both[PARTICIPATED.replace("site-1", "site-2")] = "0x120"
    return both | connection("1x120", registered) | {f"nvflare_registered{{{other}}}": "1x120"}


def tracking(backlog: str, sent: str) -> dict[str, str]:
    series = {"backlog": backlog, "sent_total": sent}
    return {f'nvflare_tracking_{name}{{{SERVER}, receiver="mlflow"}}': it for name, it in series.items()}


def expiring(days: int, severity: str) -> Fired:
    summary = f"A certificate of site-1 expires in {days}d 0h 0m 0s"
    return fired(severity, summary, site="site-1", certificate="own") if severity else []


def stalled(time: str) -> Fired:
    return fired("critical", f"hospital has been in one round for {time}", job="hospital")


SERVER_DOWN = fired("critical", "The server of hospitals is down", site="flare-server")
SITE_GONE = fired("warning", "site-1 is not connected to hospitals", site="site-1")
MISSING = fired(
    "warning", "site-1 is missing from the rounds of hospital", job="hospital", participant="site-1"
)
BACKLOG = fired(
    "warning", "mlflow does not accept the metrics of hospitals", site="flare-server", receiver="mlflow"
)
FULL = fired("warning", "The workspace of site-1 is filling up", site="site-1", role="client")
DROPS = fired(
    "warning", "site-1 drops metrics of its jobs (rate)", site="site-1", role="client", reason="rate"
)
WARNED = f'nvflare_job_warnings_total{{{JOB}, rule="metric"}}'
WARNING = fired("warning", "The guard warns about hospital: metric", job="hospital", rule="metric")
INTERVENED = f'nvflare_job_interventions_total{{{SEEN}, job="hospital", kind="restarted"}}'
QUORUM = f'nvflare_job_interventions_total{{{JOB}, kind="below_quorum"}}'
OFTEN = fired("warning", "hospital is interrupted again and again at site-1", job="hospital", site="site-1")
TOO_FEW = fired("warning", "hospital has too few sites for its quorum", job="hospital")
LACKING = fired(
    "warning", "hospital has been without site-1 for 15 minutes", job="hospital", participant="site-1"
)
POD = fired("warning", "A pod of hospital is pending at site-1", site="site-1", job="hospital")
JOB_FAILED = fired("warning", "A job of hospitals has failed", site="flare-server")

TABLE: dict[str, list[tuple[str, dict[str, str], int, Fired]]] = {
    "ServerDown": [
        ("it is running", {UP: "1x30"}, 20, []),
        ("it is back after two minutes", {UP: "1x9 _ 0 1x20"}, 13, []),
        ("it has no series any more", {UP: "1x9 _x20"}, 25, SERVER_DOWN),
        ("NVFlare does not start", {UP: "0x30"}, 5, SERVER_DOWN),
        ("it never answered a scrape", {f'up{{job="flarefleet", {SERVER}}}': "0x30"}, 5, SERVER_DOWN),
        ("a site has no series any more", {f"nvflare_up{{{CLIENT}}}": "1x9 _x20"}, 25, []),
        ("a server of something else is down", {'up{job="shop", role="server"}': "0x30"}, 25, []),
    ],
    "SiteDisconnected": [
        ("it is connected", connection("1x30", "1x30"), 20, []),
        ("the server reports it as lost", connection("1x30", "1x9 0x20"), 18, SITE_GONE),
        ("it is missing since a restart of the server", connection("1x30", "1x9 _x20"), 25, SITE_GONE),
        ("it is back after three minutes", connection("1x30", "1x9 0x2 1x20"), 18, []),
        ("the server is down, for which ServerDown fires", connection("1x9 _x20", "1x9 _x20"), 28, []),
    ],
    "CertificateExpiring": [
        (f"in {days} days", {EXPIRY: f"{days * DAY + 1800}x60"}, 30, expiring(days, severity))
        for days, severity in ((365, ""), (30, ""), (29, "warning"), (8, "warning"), (6, "critical"))
    ],
    "WorkspaceFilling": [
        ("half of it is free", workspace("50x60", "50x60"), 45, []),
        ("a twentieth is free", workspace("5x60", "95x60"), 45, FULL),
        ("a third is free, and it is full tomorrow", workspace("400-1x60", "600+1x60"), 50, FULL),
        ("a third is free, and it grows slowly", workspace("40000-1x60", "60000+1x60"), 50, []),
    ],
    "TelemetryDropped": [
        ("nothing is dropped", {DROPPED: "7x60"}, 40, []),
        ("metrics are being dropped", {DROPPED: "0+5x60"}, 40, DROPS),
        ("metrics were dropped an hour ago", {DROPPED: "0+5x10 50x60"}, 60, []),
    ],
    "RoundStalled": [
        ("it takes as long as the previous ones", RUNS | rounds("1200x60", "1200x60", "2x60"), 50, []),
        ("it takes ten times as long", RUNS | rounds("600x60", "600x60", "2x60"), 60, stalled("50m 0s")),
        ("usually seconds, it takes nine minutes", RUNS | rounds("600x60", "4x60", "2x60"), 19, []),
        ("the first one, seven hours", RUNS | rounds("60x430", "0x430", "0x430"), 421, stalled("7h 0m 0s")),
        ("the job has ended and its series still exist", rounds("600x60", "4x60", "2x60"), 60, []),
    ],
    "JobFailed": [
        ("jobs complete", {COMPLETED: "0+1x30", FAILED: "3x30"}, 20, []),
        ("one fails", {FAILED: "0x9 1x20"}, 12, JOB_FAILED),
        ("one failed an hour ago", {FAILED: "0x9 1x90"}, 70, []),
    ],
    "JobPodPending": [
        ("it has been pending for three minutes", {PENDING: "600x30"}, 13, []),
        ("it has been pending for ten minutes", {PENDING: "600x30"}, 20, POD),
        ("it has started", {PENDING: "600x19 _x20"}, 30, []),
    ],
    "SiteMissingFromRounds": [
        ("it misses one of many", participation("0x30 1x90", "0+1x120"), 60, []),
        ("it misses every round", participation("0+1x120", "0x120"), 60, MISSING),
        ("it never took part and has no such series", {**RUNS, MISSED: "0+1x120"}, 60, MISSING),
        ("the job has ended", {MISSED: "0+1x120"}, 60, []),
    ],
    "JobRestartedOften": [
        ("it never is", {**RUNS, INTERVENED: "0x120"}, 60, []),
        ("twice in an hour", {**RUNS, INTERVENED: "0x20 1x20 2x60"}, 70, []),
        ("every ten minutes", {**RUNS, INTERVENED: "0x10 1x10 2x10 3x10 4x10 5x10 6x60"}, 65, OFTEN),
        ("it has ended", {INTERVENED: "0x10 1x10 2x10 3x10 4x10 5x10 6x60"}, 65, []),
    ],
    "RoundBelowQuorum": [
        ("each round has its quorum", {**RUNS, QUORUM: "0x60"}, 30, []),
        ("a round has too few results", {**RUNS, QUORUM: "0x20 1x60"}, 25, TOO_FEW),
        ("an hour ago one had too few", {**RUNS, QUORUM: "0x20 1x100"}, 90, []),
    ],
    "JobLacksSite": [
        ("all sites are connected", membership("1x120"), 60, []),
        ("a site is away for ten minutes", membership("1x20 0x10 1x100"), 32, []),
        ("a site is away", membership("1x20 0x100"), 40, LACKING),
        ("it is missing since a restart of the server", membership("1x20 _x100"), 45, LACKING),
        ("the server is away, too", membership("1x20 0x100") | {UP: "1x20 0x100"}, 40, []),
    ],
    "JobWarning": [
        ("the guard warned", {**RUNS, WARNED: "_x5 1x60"}, 10, WARNING),
        ("the guard has nothing to say", RUNS, 10, []),
    ],
    "TrackingBacklog": [
        ("values are sent as they arrive", tracking("3x60", "0+40x60"), 40, []),
        ("the receiver is down", tracking("0x9 40+40x50", "0+40x9 400x50"), 40, BACKLOG),
        ("the receiver is slow", tracking("0+1000x60", "0+1x60"), 40, BACKLOG),
    ],
}
CASES = [Case(alert, *columns) for alert, rows in TABLE.items() for columns in rows]

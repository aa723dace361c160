"""Test cases for promtool: when each alert fires, and when it does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DAY = 86400
SERVER = 'project="hospitals", site="flare-server", role="server"'
CLIENT = 'project="hospitals", site="site-1", role="client"'
JOB = f'{SERVER}, job="hospital"'
RUNS = {f'nvflare_job_info{{{JOB}, job_id="4f1c"}}': "1x1000"}


@dataclass(frozen=True)
class Case:
    """Series with one sample per minute, and the alerts expected at a minute.

    In promtool's notation `1x5` is 1 six times, `0+3x5` grows by 3, `_` is no sample.
    """

    alert: str
    scenario: str
    series: dict[str, str]
    minute: int
    fires: list[tuple[dict[str, str], str]] = field(default_factory=list)
    """Labels besides the alert's name, and the summary."""

    @property
    def document(self) -> dict[str, Any]:
        """The case in promtool's format."""
        expected = [
            {"exp_labels": labels, "exp_annotations": {"summary": summary}} for labels, summary in self.fires
        ]
        at = {"eval_time": f"{self.minute}m", "alertname": self.alert, "exp_alerts": expected}
        series = [{"series": name, "values": values} for name, values in self.series.items()]
        return {"interval": "1m", "input_series": series, "alert_rule_test": [at]}


def fired(severity: str, summary: str, **labels: str) -> list[tuple[dict[str, str], str]]:
    return [({"severity": severity, "project": "hospitals", **labels}, summary)]


SERVER_DOWN = fired("critical", "The server of hospitals is down", site="flare-server")
SITE_GONE = fired("warning", "site-1 is not connected to hospitals", site="site-1")
STALLED = "hospital has been in one round for {}"
SEEN = 'project="hospitals", site="site-1", role="server"'
"""Site 1, as reported by the server."""


def connection(up: str, registered: str) -> dict[str, str]:
    return {f"nvflare_up{{{SERVER}}}": up, f"nvflare_registered{{{SEEN}}}": registered}


def workspace(free: str, used: str) -> dict[str, str]:
    return {
        f"nvflare_workspace_free_bytes{{{CLIENT}}}": free,
        f"nvflare_workspace_used_bytes{{{CLIENT}}}": used,
    }


def rounds(started: str, total: str, count: str) -> dict[str, str]:
    return {
        f"nvflare_round_started_timestamp_seconds{{{JOB}}}": started,
        f"nvflare_round_duration_seconds_sum{{{JOB}}}": total,
        f"nvflare_round_duration_seconds_count{{{JOB}}}": count,
    }


def participation(missed: str, participated: str) -> dict[str, str]:
    site = f'{JOB}, participant="site-1"'
    return {
        f"nvflare_rounds_missed_total{{{site}}}": missed,
        f"nvflare_rounds_participated_total{{{site}}}": participated,
    }


def tracking(backlog: str, sent: str) -> dict[str, str]:
    mlflow = f'{SERVER}, receiver="mlflow"'
    return {
        f"nvflare_tracking_backlog{{{mlflow}}}": backlog,
        f"nvflare_tracking_sent_total{{{mlflow}}}": sent,
    }


MISSING = fired(
    "warning", "site-1 is missing from the rounds of hospital", job="hospital", participant="site-1"
)
BACKLOG = fired(
    "warning", "mlflow does not accept the metrics of hospitals", site="flare-server", receiver="mlflow"
)
FULL = fired("warning", "The workspace of site-1 is filling up", site="site-1", role="client")
EXPIRY = "nvflare_certificate_expiry_timestamp_seconds"
CASES = [
    Case("ServerDown", "it is running", {f"nvflare_up{{{SERVER}}}": "1x30"}, 20),
    Case("ServerDown", "it is back after two minutes", {f"nvflare_up{{{SERVER}}}": "1x9 _ 0 1x20"}, 13),
    Case("ServerDown", "it has no series any more", {f"nvflare_up{{{SERVER}}}": "1x9 _x20"}, 25, SERVER_DOWN),
    Case("ServerDown", "NVFlare does not start", {f"nvflare_up{{{SERVER}}}": "0x30"}, 5, SERVER_DOWN),
    Case(
        "ServerDown",
        "it never answered a scrape",
        {f'up{{job="flarefleet", {SERVER}}}': "0x30"},
        5,
        SERVER_DOWN,
    ),
    Case("ServerDown", "a site has no series any more", {f"nvflare_up{{{CLIENT}}}": "1x9 _x20"}, 25),
    Case("ServerDown", "a server of something else is down", {'up{job="shop", role="server"}': "0x30"}, 25),
    Case("SiteDisconnected", "it is connected", connection("1x30", "1x30"), 20),
    Case("SiteDisconnected", "the server reports it as lost", connection("1x30", "1x9 0x20"), 18, SITE_GONE),
    Case(
        "SiteDisconnected",
        "it has not connected since a restart of the server",
        connection("1x30", "1x9 _x20"),
        25,
        SITE_GONE,
    ),
    Case("SiteDisconnected", "it is back after three minutes", connection("1x30", "1x9 0x2 1x20"), 18),
    Case(
        "SiteDisconnected",
        "the server is down, for which ServerDown fires",
        connection("1x9 _x20", "1x9 _x20"),
        28,
    ),
    *(
        Case(
            "CertificateExpiring",
            f"in {days} days",
            {f'{EXPIRY}{{{CLIENT}, certificate="own"}}': f"{days * DAY + 1800}x60"},
            30,
            fired(
                severity,
                f"A certificate of site-1 expires in {days}d 0h 0m 0s",
                site="site-1",
                certificate="own",
            )
            if severity
            else [],
        )
        for days, severity in ((365, ""), (30, ""), (29, "warning"), (8, "warning"), (6, "critical"))
    ),
    Case("WorkspaceFilling", "half of it is free", workspace("50x60", "50x60"), 45),
    Case("WorkspaceFilling", "a twentieth is free", workspace("5x60", "95x60"), 45, FULL),
    Case(
        "WorkspaceFilling",
        "a third is free, and it will be full tomorrow",
        workspace("400-1x60", "600+1x60"),
        50,
        FULL,
    ),
    Case(
        "WorkspaceFilling", "a third is free, and it grows slowly", workspace("40000-1x60", "60000+1x60"), 50
    ),
    Case(
        "TelemetryDropped",
        "nothing is dropped",
        {f'nvflare_telemetry_dropped_total{{{CLIENT}, reason="rate"}}': "7x60"},
        40,
    ),
    Case(
        "TelemetryDropped",
        "metrics are being dropped",
        {f'nvflare_telemetry_dropped_total{{{CLIENT}, reason="rate"}}': "0+5x60"},
        40,
        fired(
            "warning", "site-1 drops metrics of its jobs (rate)", site="site-1", role="client", reason="rate"
        ),
    ),
    Case(
        "TelemetryDropped",
        "metrics were dropped an hour ago",
        {f'nvflare_telemetry_dropped_total{{{CLIENT}, reason="rate"}}': "0+5x10 50x60"},
        60,
    ),
    Case(
        "RoundStalled",
        "a round takes as long as the previous ones",
        RUNS | rounds("1200x60", "1200x60", "2x60"),
        50,
    ),
    Case(
        "RoundStalled",
        "a round takes ten times as long as the previous ones",
        RUNS | rounds("600x60", "600x60", "2x60"),
        60,
        fired("critical", STALLED.format("50m 0s"), job="hospital"),
    ),
    Case(
        "RoundStalled",
        "a round of usually seconds takes nine minutes",
        RUNS | rounds("600x60", "4x60", "2x60"),
        19,
    ),
    Case(
        "RoundStalled",
        "the first round takes seven hours",
        RUNS | rounds("60x430", "0x430", "0x430"),
        421,
        fired("critical", STALLED.format("7h 0m 0s"), job="hospital"),
    ),
    Case(
        "RoundStalled", "the job has ended and its series still exist", rounds("600x60", "4x60", "2x60"), 60
    ),
    Case(
        "JobFailed",
        "jobs complete",
        {
            f'nvflare_jobs_finished_total{{{SERVER}, result="completed"}}': "0+1x30",
            f'nvflare_jobs_finished_total{{{SERVER}, result="failed"}}': "3x30",
        },
        20,
    ),
    Case(
        "JobFailed",
        "one fails",
        {f'nvflare_jobs_finished_total{{{SERVER}, result="failed"}}': "0x9 1x20"},
        12,
        fired("warning", "A job of hospitals has failed", site="flare-server"),
    ),
    Case(
        "JobFailed",
        "one failed an hour ago",
        {f'nvflare_jobs_finished_total{{{SERVER}, result="failed"}}': "0x9 1x90"},
        70,
    ),
    Case(
        "JobPodPending",
        "it has been pending for three minutes",
        {f'nvflare_job_pod_pending_timestamp_seconds{{{CLIENT}, job="hospital"}}': "600x30"},
        13,
    ),
    Case(
        "JobPodPending",
        "it has been pending for ten minutes",
        {f'nvflare_job_pod_pending_timestamp_seconds{{{CLIENT}, job="hospital"}}': "600x30"},
        20,
        fired("warning", "A pod of hospital is pending at site-1", site="site-1", job="hospital"),
    ),
    Case(
        "JobPodPending",
        "it has started",
        {f'nvflare_job_pod_pending_timestamp_seconds{{{CLIENT}, job="hospital"}}': "600x19 _x20"},
        30,
    ),
    Case("SiteMissingFromRounds", "it misses one of many", RUNS | participation("0x30 1x90", "0+1x120"), 60),
    Case(
        "SiteMissingFromRounds",
        "it misses every round",
        RUNS | participation("0+1x120", "0x120"),
        60,
        MISSING,
    ),
    Case(
        "SiteMissingFromRounds",
        "it never took part and has no series of participation",
        {**RUNS, f'nvflare_rounds_missed_total{{{JOB}, participant="site-1"}}': "0+1x120"},
        60,
        MISSING,
    ),
    Case(
        "SiteMissingFromRounds",
        "the job has ended",
        {f'nvflare_rounds_missed_total{{{JOB}, participant="site-1"}}': "0+1x120"},
        60,
    ),
    Case(
        "JobWarning",
        "the guard warned",
        {**RUNS, f'nvflare_job_warnings_total{{{JOB}, rule="metric"}}': "_x5 1x60"},
        10,
        fired("warning", "The guard warns about hospital: metric", job="hospital", rule="metric"),
    ),
    Case("JobWarning", "the guard has nothing to say", RUNS, 10),
    Case("TrackingBacklog", "values are sent as they arrive", tracking("3x60", "0+40x60"), 40),
    Case("TrackingBacklog", "the receiver is down", tracking("0x9 40+40x50", "0+40x9 400x50"), 40, BACKLOG),
    Case("TrackingBacklog", "the receiver is slow", tracking("0+1000x60", "0+1x60"), 40, BACKLOG),
]

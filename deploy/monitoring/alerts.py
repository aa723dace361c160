"""The alerts of a federation. Each has a runbook, and tests that it fires and that it does not.

Series of parents have the labels `project`, `site` and `role` (the role of the reporting parent); series of
jobs also have `job`, the name of the job.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent
from typing import Literal

import yaml

from deploy.monitoring.paths import RUNBOOKS_URL, SCRAPE_JOB

MEMORY = "1d"
"""Time for which a parent without any series is reported as missing."""


Severity = Literal["critical", "warning"]
"""critical: jobs are blocked or will be soon, act now. warning: act today."""


@dataclass(frozen=True)
class Alert:
    """An alert; the result of its expression has the label `project`."""

    name: str
    expression: str
    wait: str
    """Time for which the condition must hold before the alert fires (`for` in Prometheus)."""
    severity: Severity
    summary: str
    description: str


def _certificate_expiring(severity: Severity, condition: str) -> Alert:
    return Alert(
        name="CertificateExpiring",
        expression=f"""
            min by (project, site, certificate) (nvflare_certificate_expiry_timestamp_seconds) - time()
            {condition}
        """,
        wait="15m",
        severity=severity,
        summary="A certificate of {{ $labels.site }} expires in {{ $value | humanizeDuration }}",
        description="The certificate `{{ $labels.certificate }}` of {{ $labels.site }} in {{ $labels.project "
        "}} expires in {{ $value | humanizeDuration }}. Connections that use it will then fail.",
    )


FEDERATION = (
    Alert(
        name="ServerDown",
        expression=f"""
            (
              max by (project, site) (max_over_time(nvflare_up{{role="server"}}[{MEMORY}]))
              or max by (project, site) (up{{job="{SCRAPE_JOB}", role="server"}})
            )
            unless max by (project, site) (nvflare_up{{role="server"}} == 1)
        """,
        wait="2m",
        severity="critical",
        summary="The server of {{ $labels.project }} is down",
        description="The telemetry port of {{ $labels.site }} does not answer, or NVFlare is not running. "
        "Sites get no work until it is back; sites that are training continue and wait for it.",
    ),
    Alert(
        name="SiteDisconnected",
        expression=f"""
            max by (project, site) (max_over_time(nvflare_registered{{role="server"}}[{MEMORY}]))
            unless max by (project, site) (nvflare_registered{{role="server"}} == 1)
            and on (project) (nvflare_up{{role="server"}} == 1)
        """,
        wait="5m",
        severity="warning",
        summary="{{ $labels.site }} is not connected to {{ $labels.project }}",
        description="The server has had no contact with {{ $labels.site }} for 5 minutes. Jobs that need it "
        "wait, or continue without it.",
    ),
    _certificate_expiring("warning", "< 30 * 86400 >= 7 * 86400"),
    _certificate_expiring("critical", "< 7 * 86400"),
    Alert(
        name="WorkspaceFilling",
        expression="""
            min by (project, site, role) (
              nvflare_workspace_free_bytes / (nvflare_workspace_free_bytes + nvflare_workspace_used_bytes)
            ) < 0.1
            or
            min by (project, site, role) (
              predict_linear(nvflare_workspace_free_bytes[6h], 86400) < 0
              and
              nvflare_workspace_free_bytes < 0.7 * nvflare_workspace_used_bytes
            )
        """,
        wait="15m",
        severity="warning",
        summary="The workspace of {{ $labels.site }} is filling up",
        description="Less than 10 % of the workspace volume of {{ $labels.site }} is free, or at the current "
        "growth it will be full within a day. Jobs that write to a full workspace fail.",
    ),
    Alert(
        name="TelemetryDropped",
        expression="""
            sum by (project, site, role, reason) (increase(nvflare_telemetry_dropped_total[15m])) > 0
        """,
        wait="5m",
        severity="warning",
        summary="{{ $labels.site }} drops metrics of its jobs ({{ $labels.reason }})",
        description="{{ $labels.site }} dropped {{ $value | humanize }} metrics of its jobs in the last "
        "15 minutes (reason: {{ $labels.reason }}). Dashboards have gaps; the jobs are not affected.",
    ),
)

JOBS = (
    Alert(
        name="RoundStalled",
        expression="""
            (
              time() - max by (project, job) (nvflare_round_started_timestamp_seconds{role="server"})
              > clamp_min(
                5 * sum by (project, job) (nvflare_round_duration_seconds_sum{role="server"})
                / (sum by (project, job) (nvflare_round_duration_seconds_count{role="server"}) > 0),
                600
              )
              or
              time() - max by (project, job) (nvflare_round_started_timestamp_seconds{role="server"})
              > 6 * 3600
            )
            and on (project, job) nvflare_job_info{role="server"}
        """,
        wait="1m",
        severity="critical",
        summary="{{ $labels.job }} has been in one round for {{ $value | humanizeDuration }}",
        description="The current round of {{ $labels.job }} in {{ $labels.project }} has taken {{ $value | "
        "humanizeDuration }}: more than ten minutes and five times as long as its previous rounds, or "
        "more than six hours.",
    ),
    Alert(
        name="JobFailed",
        expression="""
            sum by (project, site) (
              increase(nvflare_jobs_finished_total{role="server", result="failed"}[15m])
            ) > 0
        """,
        wait="0m",
        severity="warning",
        summary="A job of {{ $labels.project }} has failed",
        description="{{ $value | humanize }} jobs failed in the last 15 minutes.",
    ),
    Alert(
        name="JobPodPending",
        expression="""
            time() - max by (project, site, job) (nvflare_job_pod_pending_timestamp_seconds) > 300
        """,
        wait="1m",
        severity="warning",
        summary="A pod of {{ $labels.job }} is pending at {{ $labels.site }}",
        description="The pod of {{ $labels.job }} at {{ $labels.site }} has been pending for {{ "
        "$value | humanizeDuration }}: no node has the requested CPU, memory or GPU, its image cannot be "
        "pulled, or its volume cannot be mounted.",
    ),
    Alert(
        name="SiteMissingFromRounds",
        expression="""
            (
              sum by (project, job, participant) (
                increase(nvflare_rounds_missed_total{role="server"}[1h])
              ) > 1.5
              unless
              sum by (project, job, participant) (
                increase(nvflare_rounds_participated_total{role="server"}[1h])
              )
              >= sum by (project, job, participant) (
                increase(nvflare_rounds_missed_total{role="server"}[1h])
              )
            )
            and on (project, job) nvflare_job_info{role="server"}
        """,
        wait="1m",
        severity="warning",
        summary="{{ $labels.participant }} is missing from the rounds of {{ $labels.job }}",
        description="In the last hour {{ $labels.participant }} missed more rounds of {{ $labels.job }} ({{ "
        "$value | humanize }}) than it took part in. Meanwhile the model does not learn from its data.",
    ),
    Alert(
        name="JobWarning",
        expression="""
            sum by (project, job, rule) (nvflare_job_warnings_total) > 0
            and on (project, job) sum by (project, job) (nvflare_job_info) > 0
        """,
        wait="1m",
        severity="warning",
        summary="The guard warns about {{ $labels.job }}: {{ $labels.rule }}",
        description="The job {{ $labels.job }} of {{ $labels.project }} continues, but something in it is "
        "probably not what its author meant. `flarefleet watch` shows the warnings.",
    ),
    Alert(
        name="TrackingBacklog",
        expression="""
            (
              max by (project, site, receiver) (min_over_time(nvflare_tracking_backlog[10m])) > 0
              unless sum by (project, site, receiver) (increase(nvflare_tracking_sent_total[10m])) > 0
            )
            or max by (project, site, receiver) (nvflare_tracking_backlog) > 10000
        """,
        wait="5m",
        severity="warning",
        summary="{{ $labels.receiver }} does not accept the metrics of {{ $labels.project }}",
        description="{{ $value | humanize }} values wait to be sent to {{ $labels.receiver }}: none has been "
        "sent for ten minutes, or the backlog exceeds 10,000. They are kept on the server's disk and sent "
        "when the receiver answers.",
    ),
)

GROUPS = (("flare-federation", FEDERATION), ("flare-jobs", JOBS))
ALERTS = (*FEDERATION, *JOBS)


def rules(runbooks: str = RUNBOOKS_URL) -> str:
    """Return the Prometheus rule file; each alert links to `NAME.md` in the folder `runbooks`."""
    document = {
        "groups": [
            {"name": name, "rules": [_rule(alert, runbooks) for alert in alerts]} for name, alerts in GROUPS
        ]
    }
    return yaml.dump(document, Dumper=_Readable, sort_keys=False, width=110, allow_unicode=True)


def _rule(alert: Alert, runbooks: str) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": dedent(alert.expression).strip() + "\n",
        "for": alert.wait,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbooks}/{alert.name}.md",
        },
    }


class _Readable(yaml.SafeDumper):
    """Indents lists below their key, and writes multi-line texts as blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)

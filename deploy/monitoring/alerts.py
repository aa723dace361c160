"""The alerts of a federation. Each has a runbook, and tests that it fires and that it does not.

Series of parents have the labels `project`, `site` and `role` (the role of the reporting parent); series of
jobs also have `job`, the name of the job.
"""

from __future__ import annotations

from textwrap import dedent

import yaml

from deploy.monitoring.alert import Alert, Severity
from deploy.monitoring.job_alerts import JOBS
from deploy.monitoring.paths import RUNBOOKS_URL, SCRAPE_JOB

MEMORY = "1d"
"""Time for which a parent without any series is reported as missing."""


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

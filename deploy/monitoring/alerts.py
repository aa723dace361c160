"""Every alert of a federation. Each has a runbook, and a test that it fires and that it does not.

Series of parents carry `project, site, role`, those of jobs `job` (its name) besides; `role` is who tells.
"""

from __future__ import annotations

from deploy.monitoring.paths import RUNBOOKS_URL, SCRAPE_JOB
from deploy.monitoring.rule import Alert, rule_file

REMEMBERED = "1d"
"""For so long a parent whose series are gone altogether is missed."""

FEDERATION = (
    Alert(
        name="ServerDown",
        expression=f"""
            (
              max by (project, site) (max_over_time(nvflare_up{{role="server"}}[{REMEMBERED}]))
              or max by (project, site) (up{{job="{SCRAPE_JOB}", role="server"}})
            )
            unless max by (project, site) (nvflare_up{{role="server"}} == 1)
        """,
        wait="2m",
        severity="critical",
        summary="The server of {{ $labels.project }} is down",
        description="{{ $labels.site }} has not answered on its telemetry port, or its NVFlare does not run. "
        "No site can take up work until it is back; sites that train go on and wait for it.",
    ),
    Alert(
        name="SiteDisconnected",
        expression=f"""
            max by (project, site) (max_over_time(nvflare_registered{{role="server"}}[{REMEMBERED}]))
            unless max by (project, site) (nvflare_registered{{role="server"}} == 1)
            and on (project) (nvflare_up{{role="server"}} == 1)
        """,
        wait="5m",
        severity="warning",
        summary="{{ $labels.site }} is not connected to {{ $labels.project }}",
        description="The server has heard nothing of {{ $labels.site }} for 5 minutes. Jobs that need it "
        "wait or go on without it.",
    ),
    Alert(
        name="CertificateExpiring",
        expression="""
            min by (project, site, certificate) (nvflare_certificate_expiry_timestamp_seconds) - time()
            < 30 * 86400 >= 7 * 86400
        """,
        wait="15m",
        severity="warning",
        summary="A certificate of {{ $labels.site }} expires in {{ $value | humanizeDuration }}",
        description="The certificate `{{ $labels.certificate }}` of {{ $labels.site }} in {{ $labels.project "
        "}} expires in {{ $value | humanizeDuration }}. From then on nobody can connect with it.",
    ),
    Alert(
        name="CertificateExpiring",
        expression="""
            min by (project, site, certificate) (nvflare_certificate_expiry_timestamp_seconds) - time()
            < 7 * 86400
        """,
        wait="15m",
        severity="critical",
        summary="A certificate of {{ $labels.site }} expires in {{ $value | humanizeDuration }}",
        description="The certificate `{{ $labels.certificate }}` of {{ $labels.site }} in {{ $labels.project "
        "}} expires in {{ $value | humanizeDuration }}. From then on nobody can connect with it.",
    ),
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
        description="Less than a tenth of the workspace volume of {{ $labels.site }} is free, or it will be "
        "full within a day as it grows now. A full workspace ends every job that writes to it.",
    ),
    Alert(
        name="TelemetryDropped",
        expression="""
            sum by (project, site, role, reason) (increase(nvflare_telemetry_dropped_total[15m])) > 0
        """,
        wait="5m",
        severity="warning",
        summary="{{ $labels.site }} drops metrics of its jobs ({{ $labels.reason }})",
        description="{{ $labels.site }} dropped {{ $value | humanize }} of what its jobs told it in the last "
        "15 minutes (reason: {{ $labels.reason }}). Dashboards have gaps; the jobs themselves are not "
        "touched.",
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
        description="The round that {{ $labels.job }} of {{ $labels.project }} is in has taken {{ $value | "
        "humanizeDuration }}: five times as long as its rounds so far and more than ten minutes, or more "
        "than six hours.",
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
        description="{{ $value | humanize }} of the jobs that ended in the last 15 minutes did so with an "
        "error.",
    ),
    Alert(
        name="JobPodPending",
        expression="""
            time() - max by (project, site, job) (nvflare_job_pod_pending_timestamp_seconds) > 300
        """,
        wait="1m",
        severity="warning",
        summary="A pod of {{ $labels.job }} waits at {{ $labels.site }}",
        description="Kubernetes has not started the pod of {{ $labels.job }} at {{ $labels.site }} for {{ "
        "$value | humanizeDuration }}: no node has the CPU, memory or GPU that it asks for, its image cannot "
        "be had, or its volume cannot be mounted.",
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
        "$value | humanize }}) than it took part in. The model learns nothing from its data meanwhile.",
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
        summary="{{ $labels.receiver }} does not take the metrics of {{ $labels.project }}",
        description="{{ $value | humanize }} values that jobs logged wait for {{ $labels.receiver }}, and "
        "none could be sent for ten minutes, or more than 10,000 wait. They are kept on the server's disk "
        "and sent when it answers again.",
    ),
)

GROUPS = (("flare-federation", FEDERATION), ("flare-jobs", JOBS))
ALERTS = (*FEDERATION, *JOBS)


def rules(runbooks: str = RUNBOOKS_URL) -> str:
    """The rule file with every alert.

    Args:
        runbooks: where the runbooks can be read.
    """
    return rule_file(GROUPS, runbooks)

"""The alerts about jobs; their series have the label `job`, the name of the job."""

from __future__ import annotations

from deploy.monitoring.alert import Alert

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
        name="JobRestartedOften",
        expression="""
            (
              sum by (project, job, site) (
                increase(
                  nvflare_job_interventions_total{
                    role="server", kind=~"restarted|rejoined|adopted|requeued"
                  }[1h]
                )
              ) > 3.5
            )
            and on (project, job) nvflare_job_info{role="server"}
        """,
        wait="1m",
        severity="warning",
        summary="{{ $labels.job }} is interrupted again and again at {{ $labels.site }}",
        description="In the last hour a part of {{ $labels.job }} at {{ $labels.site }} ended and was "
        "started again {{ $value | humanize }} times. The job continues, but its rounds take longer. "
        "`flarefleet watch` shows why.",
    ),
    Alert(
        name="RoundBelowQuorum",
        expression="""
            (
              sum by (project, job) (
                increase(nvflare_job_interventions_total{role="server", kind="below_quorum"}[15m])
              ) > 0
            )
            and on (project, job) nvflare_job_info{role="server"}
        """,
        wait="1m",
        severity="warning",
        summary="{{ $labels.job }} has too few sites for its quorum",
        description="In the last 15 minutes fewer sites than the quorum answered a round of "
        "{{ $labels.job }}. The round is repeated until enough sites answer.",
    ),
    Alert(
        name="JobLacksSite",
        expression="""
            (
              max by (project, job, participant) (nvflare_rounds_participated_total{role="server"})
              unless on (project, participant)
              label_replace(nvflare_registered{role="server"} == 1, "participant", "$1", "site", "(.*)")
            )
            and on (project, job) nvflare_job_info{role="server"}
            and on (project) nvflare_up{role="server"} == 1
        """,
        wait="15m",
        severity="warning",
        summary="{{ $labels.job }} has been without {{ $labels.participant }} for 15 minutes",
        description="{{ $labels.participant }} takes part in {{ $labels.job }} and has not been connected to "
        "the server for 15 minutes. Without a quorum the round waits for it; with one the job goes on "
        "without it.",
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

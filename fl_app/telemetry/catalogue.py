"""Every metric of Flarefleet: name, type, labels, unit and meaning; the source of docs/metrics.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fl_app.contract import METRIC_PREFIX

LABELS = ("project", "site", "role")
"""Labels of every series: federation, site that it describes, role of the parent that reports it."""
JOB_LABELS = (*LABELS, "job")
"""Labels of every series of a job. If two jobs of one name run at the same time, the second is NAME~2."""

RESULTS = ("completed", "failed", "aborted")


class Type(Enum):
    """Type of a metric in Prometheus."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class ReportedBy(Enum):
    """Parents that report a metric."""

    BOTH = "server and sites"
    SERVER = "server"
    SITE = "sites"


@dataclass(frozen=True)
class MetricSpec:
    """A metric."""

    name: str
    """Without the prefix; with _total for a counter and _info for an info."""
    type: Type
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    """Labels besides LABELS or JOB_LABELS."""
    reported_by: ReportedBy = ReportedBy.BOTH
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, without +Inf."""

    @property
    def full_name(self) -> str:
        """Return the name with the prefix."""
        return METRIC_PREFIX + self.name

    @property
    def family(self) -> str:
        """Return the name of the metric family: without the suffix that OpenMetrics adds to samples."""
        return self.full_name.removesuffix("_total").removesuffix("_info")


G, C, H = Type.GAUGE, Type.COUNTER, Type.HISTOGRAM

ROUND_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
AGGREGATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)

PARENT_METRICS = (
    MetricSpec("build_info", Type.INFO, "", "Installed releases.", ("nvflare", "flarefleet", "python")),
    MetricSpec("up", G, "0 or 1", "1 if NVFlare's parent is running, 0 if it is starting."),
    MetricSpec("ready", G, "0 or 1", "1 if /readyz returns 200."),
    MetricSpec(
        "registered",
        G,
        "0 or 1",
        "1 if the site is registered and its last contact is fresh. The server reports this for every site "
        "that has registered since the server started; a site reports it for itself.",
    ),
    MetricSpec(
        "last_contact_timestamp_seconds",
        G,
        "seconds since 1970",
        "Time of the last contact between server and site, as recorded by `role`.",
    ),
    MetricSpec(
        "heartbeats_refused_total", C, "", "Heartbeats that the server refused.", reported_by=ReportedBy.SITE
    ),
    MetricSpec(
        "certificate_expiry_timestamp_seconds",
        G,
        "seconds since 1970",
        "Expiry time of a certificate of the kit: `own` or `root`.",
        ("certificate",),
    ),
    MetricSpec(
        "jobs",
        G,
        "jobs",
        "Jobs by NVFlare's status: all jobs of the job store on the server, running jobs on a site.",
        ("status",),
    ),
    MetricSpec("jobs_started_total", C, "jobs", "Jobs that this parent has launched since it started."),
    MetricSpec(
        "jobs_finished_total",
        C,
        "jobs",
        "Jobs that this parent launched and that ended, by result: completed, failed or aborted.",
        ("result",),
    ),
    MetricSpec("workspace_used_bytes", G, "bytes", "Disk usage of the workspace, measured once a minute."),
    MetricSpec("workspace_free_bytes", G, "bytes", "Free space of the volume that holds the workspace."),
    MetricSpec(
        "gpu_utilization_ratio",
        G,
        "0 to 1",
        "Utilization of a GPU of this machine; absent if there is no NVIDIA driver.",
        ("gpu",),
    ),
    MetricSpec("gpu_memory_used_bytes", G, "bytes", "GPU memory used by all programs.", ("gpu",)),
    MetricSpec("gpu_memory_total_bytes", G, "bytes", "Total memory of a GPU.", ("gpu",)),
    MetricSpec(
        "job_pods", G, "pods", "Job pods of this site by phase; absent if jobs run as processes.", ("phase",)
    ),
    MetricSpec(
        "job_pod_pending_timestamp_seconds",
        G,
        "seconds since 1970",
        "Time since which a job's pod has been pending; absent if it runs.",
        ("job",),
    ),
    MetricSpec(
        "job_interventions_total",
        C,
        "",
        "Interventions of survival in a job: what was killed or lost, and repaired. `site` is the site that "
        "each concerns, or the server; docs/survival.md explains the kinds.",
        ("job", "kind"),
        ReportedBy.SERVER,
    ),
    MetricSpec(
        "tracking_backlog",
        G,
        "values",
        "Logged values that are queued for a tracker.",
        ("receiver",),
        ReportedBy.SERVER,
    ),
    MetricSpec(
        "tracking_sent_total",
        C,
        "values",
        "Logged values that a tracker accepted.",
        ("receiver",),
        ReportedBy.SERVER,
    ),
    MetricSpec(
        "tracking_failed_total",
        C,
        "values",
        "Logged values that a tracker refused, or that were dropped because the queue was full.",
        ("receiver",),
        ReportedBy.SERVER,
    ),
    MetricSpec("telemetry_errors_total", C, "", "Metrics that could not be collected at a scrape."),
    MetricSpec(
        "telemetry_dropped_total",
        C,
        "",
        "Pushed values and documents that this parent dropped, by reason; see the table below.",
        ("reason",),
    ),
)

JOB_METRICS = (
    MetricSpec("job_info", Type.INFO, "", "1 for each active job of this parent.", ("job_id",)),
    MetricSpec("job_round", G, "rounds", "Current round of the job, starting at 1."),
    MetricSpec(
        "job_rounds", G, "rounds", "Total number of rounds; absent if the workflow does not announce it."
    ),
    MetricSpec("round_started_timestamp_seconds", G, "seconds since 1970", "Start of the current round."),
    MetricSpec(
        "round_duration_seconds",
        H,
        "seconds",
        "Duration of rounds, from sending the model to the start of the next round.",
        reported_by=ReportedBy.SERVER,
        buckets=ROUND_BUCKETS,
    ),
    MetricSpec(
        "task_duration_seconds",
        H,
        "seconds",
        "Duration of the site's task in a round: training, evaluation, and conversion of the model.",
        reported_by=ReportedBy.SITE,
        buckets=ROUND_BUCKETS,
    ),
    MetricSpec(
        "aggregation_duration_seconds",
        H,
        "seconds",
        "Duration of the aggregation of a round's results.",
        reported_by=ReportedBy.SERVER,
        buckets=AGGREGATION_BUCKETS,
    ),
    MetricSpec(
        "model_sent_bytes_total",
        C,
        "bytes",
        "Size of sent arrays: models on the server (to all sites), results on a site.",
    ),
    MetricSpec(
        "model_received_bytes_total",
        C,
        "bytes",
        "Size of received arrays: results on the server, models on a site.",
    ),
    MetricSpec(
        "round_sites",
        G,
        "sites",
        "Sites whose results were used in the last finished round.",
        reported_by=ReportedBy.SERVER,
    ),
    MetricSpec(
        "rounds_participated_total",
        C,
        "rounds",
        "Finished rounds that used a result of the site.",
        ("participant",),
        ReportedBy.SERVER,
    ),
    MetricSpec(
        "rounds_missed_total",
        C,
        "rounds",
        "Finished rounds that used no result of a site that takes part in the job.",
        ("participant",),
        ReportedBy.SERVER,
    ),
    MetricSpec(
        "training_metric",
        G,
        "",
        "Last value of a scalar that a training script logged. On the server, `site` is the site that "
        "logged it.",
        ("tag",),
    ),
    MetricSpec(
        "training_steps_total",
        C,
        "steps",
        "Number of steps: the highest step that a training script logged, plus one. On the server, `site` is "
        "the site that logged it.",
    ),
    MetricSpec(
        "job_errors_total",
        C,
        "",
        "Errors of a job by kind: `fatal` fails the job; others are NVFlare's return codes in lower case.",
        ("kind",),
    ),
    MetricSpec(
        "job_warnings_total",
        C,
        "",
        "Warnings of the guard by rule. The job continues; docs/guard.md explains the rules.",
        ("rule",),
        ReportedBy.SERVER,
    ),
)

PER_SITE_METRICS = ("training_metric", "training_steps_total")
"""Metrics that the server's job reports for each site. The first label in a pushed document is the site; ""
is the parent itself."""

PARENTS = {spec.name: spec for spec in PARENT_METRICS}
JOBS = {spec.name: spec for spec in JOB_METRICS}

"""Every metric of the kit: its name, type, labels, unit and meaning. docs/metrics.md is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fl_app.contract import METRIC_PREFIX

LABELS = ("project", "site", "role")
"""Of every series: the federation, whose it is, and who says so (server or client)."""
JOB_LABELS = (*LABELS, "job")
"""Of every series of a job: the job's name, too. A second job of that name at the same time is NAME~2."""

RESULTS = ("completed", "failed", "aborted")


class Type(Enum):
    """How Prometheus reads a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"


class Seen(Enum):
    """Which parents have it."""

    BOTH = "server and sites"
    SERVER = "server"
    SITE = "sites"


@dataclass(frozen=True)
class Spec:
    """A metric."""

    name: str
    """Without the prefix; of counters with _total, of infos with _info."""
    type: Type
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    """Further ones."""
    seen: Seen = Seen.BOTH
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, without +Inf."""

    @property
    def full_name(self) -> str:
        """As Prometheus knows it."""
        return METRIC_PREFIX + self.name

    @property
    def family(self) -> str:
        """The name without the suffix that OpenMetrics adds to its samples."""
        return self.full_name.removesuffix("_total").removesuffix("_info")


G, C, H = Type.GAUGE, Type.COUNTER, Type.HISTOGRAM

ROUND_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
AGGREGATION_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0)

PARENT_METRICS = (
    Spec("build_info", Type.INFO, "", "The releases that run here.", ("nvflare", "flarefleet", "python")),
    Spec("up", G, "0 or 1", "1 once NVFlare's parent runs, 0 while it starts."),
    Spec("ready", G, "0 or 1", "1 if /readyz says so."),
    Spec(
        "registered",
        G,
        "0 or 1",
        "1 if the site is registered and its last contact is fresh, as `role` sees it: the server of every "
        "site that it saw since it started, a site of itself.",
    ),
    Spec(
        "last_contact_timestamp_seconds",
        G,
        "seconds since 1970",
        "When server and site last heard of each other, as `role` sees it.",
    ),
    Spec("heartbeats_refused_total", C, "", "Heartbeats that the server refused.", seen=Seen.SITE),
    Spec(
        "certificate_expiry_timestamp_seconds",
        G,
        "seconds since 1970",
        "When a certificate of the kit expires: own or root.",
        ("certificate",),
    ),
    Spec(
        "jobs",
        G,
        "jobs",
        "Jobs by NVFlare's status: all of the store on the server, the running ones on a site.",
        ("status",),
    ),
    Spec("jobs_started_total", C, "jobs", "Jobs that this parent has launched since it started."),
    Spec(
        "jobs_finished_total",
        C,
        "jobs",
        "Of those, the ones that ended, by result: completed, failed or aborted.",
        ("result",),
    ),
    Spec("workspace_used_bytes", G, "bytes", "What the files of the workspace take, counted once a minute."),
    Spec("workspace_free_bytes", G, "bytes", "Free space of the volume that the workspace is on."),
    Spec(
        "gpu_utilization_ratio",
        G,
        "0 to 1",
        "How busy a GPU of this machine is; absent where there is no NVIDIA driver.",
        ("gpu",),
    ),
    Spec("gpu_memory_used_bytes", G, "bytes", "Memory of a GPU in use, by whatever program.", ("gpu",)),
    Spec("gpu_memory_total_bytes", G, "bytes", "Memory of a GPU.", ("gpu",)),
    Spec(
        "job_pods",
        G,
        "pods",
        "Job pods of this site by phase; only where jobs run as pods.",
        ("phase",),
    ),
    Spec(
        "job_pod_pending_timestamp_seconds",
        G,
        "seconds since 1970",
        "Since when a job's pod has been pending; absent once it runs.",
        ("job",),
    ),
    Spec(
        "tracking_backlog",
        G,
        "values",
        "Logged values that wait to be sent to a tracker.",
        ("receiver",),
        Seen.SERVER,
    ),
    Spec(
        "tracking_sent_total",
        C,
        "values",
        "Logged values that a tracker has taken.",
        ("receiver",),
        Seen.SERVER,
    ),
    Spec(
        "tracking_failed_total",
        C,
        "values",
        "Logged values that a tracker refused, or that had no room in the queue.",
        ("receiver",),
        Seen.SERVER,
    ),
    Spec("telemetry_errors_total", C, "", "Metrics that could not be had at a scrape."),
    Spec(
        "telemetry_dropped_total",
        C,
        "",
        "What jobs pushed and this parent did not keep, by reason; see the table below.",
        ("reason",),
    ),
)

JOB_METRICS = (
    Spec("job_info", Type.INFO, "", "1 for each job that is active here now.", ("job_id",)),
    Spec("job_round", G, "rounds", "The round that the job is in, from 1."),
    Spec("job_rounds", G, "rounds", "How many rounds there will be, where the workflow says so."),
    Spec("round_started_timestamp_seconds", G, "seconds since 1970", "When the current round began."),
    Spec(
        "round_duration_seconds",
        H,
        "seconds",
        "How long rounds took, from the model's sending to the next round.",
        seen=Seen.SERVER,
        buckets=ROUND_BUCKETS,
    ),
    Spec(
        "task_duration_seconds",
        H,
        "seconds",
        "How long the site's part of a round took: training and what it does besides.",
        seen=Seen.SITE,
        buckets=ROUND_BUCKETS,
    ),
    Spec(
        "aggregation_duration_seconds",
        H,
        "seconds",
        "How long the server took to put a round's results together, once all were there.",
        seen=Seen.SERVER,
        buckets=AGGREGATION_BUCKETS,
    ),
    Spec(
        "model_sent_bytes_total",
        C,
        "bytes",
        "Arrays in what was sent: models to all sites on the server, results on a site.",
    ),
    Spec(
        "model_received_bytes_total",
        C,
        "bytes",
        "Arrays in what was received: results on the server, models on a site.",
    ),
    Spec("round_sites", G, "sites", "Sites whose results the last finished round has.", seen=Seen.SERVER),
    Spec(
        "rounds_participated_total",
        C,
        "rounds",
        "Finished rounds that have a site's result.",
        ("participant",),
        Seen.SERVER,
    ),
    Spec(
        "rounds_missed_total",
        C,
        "rounds",
        "Finished rounds that do not have the result of a site that takes part in the job.",
        ("participant",),
        Seen.SERVER,
    ),
    Spec(
        "training_metric",
        G,
        "",
        "The last value of a scalar that a training script logged. On the server `site` is the site that "
        "logged it.",
        ("tag",),
    ),
    Spec(
        "training_steps_total",
        C,
        "steps",
        "The highest step that a training script logged, and one. On the server `site` is the site that "
        "logged it.",
    ),
    Spec(
        "job_errors_total",
        C,
        "",
        "Errors of a job by kind: `fatal` ends it; others are NVFlare's return codes in lower case.",
        ("kind",),
    ),
)

SAID_OF_SITES = ("training_metric", "training_steps_total")
"""Metrics of which the server's job says whose they are: `site` is the first label in a pushed document
(empty: the parent's own)."""

PARENTS = {spec.name: spec for spec in PARENT_METRICS}
JOBS = {spec.name: spec for spec in JOB_METRICS}

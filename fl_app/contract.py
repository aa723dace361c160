"""The names, ports and paths on which the operator's side (`deploy`) and the sites (`fl_app`) agree.

Nothing here imports anything heavy: both sides read it, and neither needs the other for it.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath

NVFLARE_VERSION = "2.9.0"
"""The one NVFlare release whose behaviour the kit relies on."""

FEDERATION_PORT = 8002
"""Learning and administration, mutual TLS; the only port that leaves a host."""
PARENT_PORT = 8102
"""Where the job processes or pods of a site reach their parent."""
TELEMETRY_PORT = 9464
"""HTTP: /healthz, /readyz, /metrics, /push."""
TENSORBOARD_PORT = 6006

CONTAINER_UID = 10001
WORKSPACE_PATH = PurePosixPath("/var/lib/flare")
"""The workspace volume of every parent; kits name their storage below it."""
KIT_PATH = PurePosixPath("/etc/flare/kit")
KEY_PATH = PurePosixPath("/run/secrets/flare")
"""A folder that holds the site's private key: server.key or client.key."""
ANALYTICS_FOLDER = "analytics"
"""Below the server's workspace: ANALYTICS_FOLDER/JOB-ID/SITE holds TensorBoard's event files."""

KIT_FACTS = "flarefleet.json"
"""In a kit's local/: who this kit is for. See `fl_app.startup.facts.KitFacts`."""

LABEL_SITE = "flare/site"
LABEL_ROLE = "flare/role"
METRIC_PREFIX = "nvflare_"

# Environment of a parent process; each has the constant above as its default.
ENV_KIT = "FLARE_KIT"
ENV_KEY = "FLARE_KEY"
ENV_WORKSPACE = "FLARE_WORKSPACE"
ENV_SERVER_ADDRESS = "FLARE_SERVER_ADDRESS"
"""HOST:PORT under which this site reaches the server, where it is not the name in the kit."""
ENV_PARENT_PORT = "FLARE_PARENT_PORT"
ENV_TELEMETRY_PORT = "FLARE_TELEMETRY_PORT"
ENV_TELEMETRY_HOST = "FLARE_TELEMETRY_HOST"
ENV_PUSH_HOST = "FLARE_PUSH_HOST"
"""The name under which job pods reach their parent's telemetry; unset where jobs run beside it."""
ENV_METRICS_KEPT = "FLARE_METRICS_KEPT"
"""Seconds for which a finished job's series stay."""
ENV_TRACKING = "FLARE_TRACKING"
"""The trackers that the server passes everything logged on to: mlflow, wandb, or both with a comma."""
ENV_ANALYTICS_KEEP_DAYS = "FLARE_ANALYTICS_KEEP_DAYS"
"""Days for which a job's event files stay after its last value; unset, until the job is deleted."""
ENV_SERVER_WAIT = "FLARE_SERVER_WAIT"
"""Seconds for which a site waits for its server when it starts."""
ENV_SITE_PATIENCE = "FLARE_SITE_PATIENCE"
"""Seconds for which the server lets a job wait for sites that are not registered."""
SITE_PATIENCE_SECONDS = 3600.0
ENV_TASK_TIMEOUT = "FLARE_TASK_TIMEOUT"
"""Seconds in which a site at work must return or log something; 0 for ever."""
TASK_TIMEOUT_SECONDS = 86400.0
"""One day: longer than a round takes, and short enough to find a training that hangs."""
SERVER_SETTINGS = (ENV_ANALYTICS_KEEP_DAYS, ENV_SITE_PATIENCE, ENV_TASK_TIMEOUT)
"""What `flarefleet up` passes on of its own environment to the server it starts."""
ENV_JOBS = "FLARE_JOBS"
"""With `launcher: pod`, the folder with study_runtime.yaml (a job's pod) and launcher.yaml; else unset."""
ENV_TERMINATION_LOG = "FLARE_TERMINATION_LOG"
"""A file for the one line that says why a parent did not start, such as Kubernetes' /dev/termination-log."""

# Environment of a job process or pod, made by its parent: `fl_app.telemetry.access.push_environment`.
ENV_PUSH_URL = "FLARE_PUSH_URL"
ENV_PUSH_TOKEN = "FLARE_PUSH_TOKEN"  # noqa: S105 - the variable's name
"""Lets one job push, as itself, while its parent lives. Never on a command line."""


@cache  # reading it parses a file
def kit_version() -> str:
    """Flarefleet's own version, as installed."""
    try:
        return version("flarefleet")
    except PackageNotFoundError:
        return "0+unknown"


def installed_nvflare() -> str | None:
    """NVFlare's version as installed; None without it."""
    try:
        return version("nvflare")
    except PackageNotFoundError:
        return None

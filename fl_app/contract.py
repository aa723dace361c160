"""Names, ports and paths that the operator's side (`deploy`) and the sites (`fl_app`) share.

This module imports nothing heavy: both sides import it at every start.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import PurePosixPath

NVFLARE_VERSION = "2.9.0"
"""The only NVFlare release that Flarefleet supports."""

FEDERATION_PORT = 8002
"""Learning and administration over mutual TLS; the only port that other hosts connect to."""
PARENT_PORT = 8102
"""Job processes or pods of a site connect to their parent here."""
TELEMETRY_PORT = 9464
"""HTTP: /healthz, /readyz, /metrics, /push."""
TENSORBOARD_PORT = 6006

CONTAINER_UID = 10001
WORKSPACE_PATH = PurePosixPath("/var/lib/flare")
"""Workspace volume of every parent; paths in kits are below it."""
KIT_PATH = PurePosixPath("/etc/flare/kit")
KEY_PATH = PurePosixPath("/run/secrets/flare")
"""Folder of the private key: server.key or client.key."""
ANALYTICS_FOLDER = "analytics"
"""In the server's workspace: ANALYTICS_FOLDER/JOB-ID/SITE contains TensorBoard's event files."""

SITE_LOGS_FOLDER = "site-logs"
"""In the server's workspace: SITE_LOGS_FOLDER/JOB-ID/SITE/log.txt, while the site sends it."""
EVENT_FILES_COMPONENT = "LOG_tb_events.zip"
"""Component of a job with its event files; NVFlare accepts names that begin with LOG_."""
SITE_LOG_COMPONENT = "LOG_log.txt_"
"""Component of a job with the log of a site, whose name follows."""

KIT_FACTS = "flarefleet.json"
"""File in a kit's local/ that describes its participant. See `fl_app.checks.kit.KitFacts`."""
CONTEXT_SUFFIX = ".tenseal"
CONTEXT_SIGNATURE = "context_signature.json"
"""File in startup/ of a workspace with the signature of its context of homomorphic encryption."""


def context_file(role: str) -> str:
    """Return NVFlare's name for the context of homomorphic encryption in the kit of a server or client."""
    return f"{role}_context{CONTEXT_SUFFIX}"


LABEL_SITE = "flare/site"
LABEL_ROLE = "flare/role"
METRIC_PREFIX = "nvflare_"

# Environment of a parent; `fl_app.startup.settings` explains each variable and has its default.
ENV_KIT = "FLARE_KIT"
ENV_KEY = "FLARE_KEY"
ENV_WORKSPACE = "FLARE_WORKSPACE"
ENV_SERVER_ADDRESS = "FLARE_SERVER_ADDRESS"
ENV_PARENT_PORT = "FLARE_PARENT_PORT"
ENV_TELEMETRY_PORT = "FLARE_TELEMETRY_PORT"
ENV_TELEMETRY_HOST = "FLARE_TELEMETRY_HOST"
ENV_PUSH_HOST = "FLARE_PUSH_HOST"
"""Host name of the parent's telemetry for job pods; unset if jobs run as processes."""
ENV_METRICS_KEPT = "FLARE_METRICS_KEPT"
METRICS_KEPT_SECONDS = 600.0
ENV_TRACKING = "FLARE_TRACKING"
"""Trackers that receive what jobs log: mlflow, wandb, or both separated by a comma."""
ENV_ANALYTICS_KEEP_DAYS = "FLARE_ANALYTICS_KEEP_DAYS"
ENV_SITE_PATIENCE = "FLARE_SITE_PATIENCE"
"""Seconds for which the server lets a job wait for sites that are not registered."""
SITE_PATIENCE_SECONDS = 3600.0
ENV_TASK_TIMEOUT = "FLARE_TASK_TIMEOUT"
TASK_TIMEOUT_SECONDS = 86400.0
"""One day: longer than a round, and short enough to detect a stalled training."""
ENV_GUARD_RULES = "FLARE_GUARD_RULES"
"""Levels of the guard's rules on the server: RULE=LEVEL, separated by commas."""
ENV_SURVIVAL = "FLARE_SURVIVAL"
"""false: a job ends as in NVFlare if one of its processes, the server or a site is killed or away."""
ENV_SITE_WAIT = "FLARE_SITE_WAIT"
"""Seconds for which a running job waits for a site that gives no sign of life."""
SITE_WAIT_SECONDS = 86400.0
PARAMETERS_PROPERTY = "parameters"
"""Key in a job's `custom_props`: all parameters with which it was exported."""
PENDING_SITES_ID = "flare_waiting_sites"
"""Id of the component that knows, in the server's job process, the sites whose job pods are pending."""
TRANSFER_TIMEOUT_SECONDS = 20.0
"""Seconds without a byte after which a site asks the server again; longer for large models (NVFlare: 300)."""
ENV_FORK_JOBS = "FLARE_FORK_JOBS"
"""false: start each job process as a new Python process instead of a fork of a prepared one."""
ENV_DIRECT_EXCHANGE = "FLARE_DIRECT_EXCHANGE"
"""false: models cross the network in NVFlare's own format, with its copies of their arrays."""
ENV_RESTART = "FLARE_RESTART"
"""false: a parent that died is not started again."""
ENV_RESTARTS = "FLARE_RESTARTS"
"""How often a runtime has started this parent again."""
ENV_LAST_EXIT = "FLARE_LAST_EXIT"
"""How the parent exited before the last of these restarts."""
SERVER_SETTINGS = (
    ENV_TRACKING,
    ENV_ANALYTICS_KEEP_DAYS,
    ENV_SITE_PATIENCE,
    ENV_TASK_TIMEOUT,
    ENV_GUARD_RULES,
    ENV_SURVIVAL,
    ENV_SITE_WAIT,
)
"""Variables that `deployment.tracking`, `deployment.guard` and `deployment.survival` of project.yml set."""
JOB_SETTINGS = (ENV_TASK_TIMEOUT, ENV_GUARD_RULES, ENV_SURVIVAL, ENV_SITE_WAIT, ENV_DIRECT_EXCHANGE)
"""Variables of a parent that the processes and pods of its jobs read, too."""

# Environment of a job process or pod, set by its parent: `fl_app.telemetry.access.push_environment`.
ENV_PUSH_URL = "FLARE_PUSH_URL"
ENV_PUSH_TOKEN = "FLARE_PUSH_TOKEN"  # noqa: S105 - the variable's name
"""Token with which one job pushes to its parent. It never appears on a command line."""
ENV_PARENT_PID = "FLARE_PARENT_PID"
"""Process id of the parent, set only for job processes; the job process exits when that process exits."""
ENV_JOB_PROCESS = "FLARE_JOB_PROCESS"
"""Identifies a job process and the processes that it starts."""
_FALSE = ("0", "f", "false", "n", "no", "off")


def is_enabled(variable: str) -> bool:
    """Return whether a variable of the environment is missing or not false."""
    return os.environ.get(variable, "").lower() not in _FALSE


@cache  # it parses a file
def installed_version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def flarefleet_version() -> str:
    """Return the installed version of Flarefleet."""
    return installed_version("flarefleet") or "0+unknown"

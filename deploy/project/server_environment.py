"""Environment variables of the parents that `deployment.tracking`, `.guard` and `.survival` set."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import InputError
from fl_app.contract import (
    ENV_ANALYTICS_KEEP_DAYS,
    ENV_GUARD_RULES,
    ENV_SITE_PATIENCE,
    ENV_SITE_WAIT,
    ENV_SURVIVAL,
    ENV_TASK_TIMEOUT,
    ENV_TRACKING,
    SERVER_SETTINGS,
)

if TYPE_CHECKING:
    from deploy.project.models import Project

TRACKER_PREFIXES = ("MLFLOW_", "WANDB_")
"""Prefixes of the variables that MLflow and W&B read."""

_CREDENTIAL = re.compile(r"([A-Z][A-Z0-9_]*)=(?:'([^'\x00-\x08\x0a-\x1f]*)(?<!\\)'|([^\s'\"\\$#\x00-\x1f]*))")
_LARGEST_CREDENTIALS = 64 * 1024


def server_environment(project: Project) -> dict[str, str]:
    """Return the public variables of the server's parent. They contain no credential."""
    tracking, guard = project.tracking, project.guard
    variables = {
        ENV_TRACKING: ",".join(tracking.receivers),
        ENV_ANALYTICS_KEEP_DAYS: tracking.keep_days,
        ENV_SITE_PATIENCE: guard.site_patience_seconds,
        ENV_TASK_TIMEOUT: guard.task_timeout_seconds,
        ENV_GUARD_RULES: ",".join(f"{rule}={level}" for rule, level in guard.levels.items()),
        ENV_SITE_WAIT: project.survival.site_wait_seconds,
        **site_environment(project),
        **tracking.environment,
    }
    return {name: str(value) for name, value in variables.items() if value not in (None, "")}


def site_environment(project: Project) -> dict[str, str]:
    """Return the variables of the server's and of every site's parent."""
    return {} if project.survival.enabled else {ENV_SURVIVAL: "false"}


def read_credentials(file: Path) -> dict[str, str]:
    """Return the variables in a credentials file.

    A line is NAME=VALUE, or NAME='VALUE' if the value has spaces, quotes, backslashes, $ or #. Compose reads
    such a file in the same way, but for a backslash before the last quote, which is therefore refused.

    Raises:
        InputError: the file is missing, readable by others, or has an invalid line. No message contains a
            value.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise InputError(f"{file} can be read by other users; run: chmod 600 {file}")
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_CREDENTIALS + 1)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:  # a null byte in the path
        raise InputError(f"{str(file)!r} is not a path") from None
    if len(content) > _LARGEST_CREDENTIALS:
        raise InputError(f"{file} has more than {_LARGEST_CREDENTIALS // 1024} KiB")
    try:
        lines = content.decode().replace("\r\n", "\n").split("\n")  # only these separate lines for Compose
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text with lines NAME=VALUE") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _CREDENTIAL.fullmatch(line)
        if match is None:
            raise InputError(
                f"{file}:{number}: must be NAME=VALUE, or NAME='VALUE' if the value has spaces, quotes, "
                "backslashes, $ or #"
            )
        if not match[1].startswith(TRACKER_PREFIXES):
            raise InputError(f"{file}:{number}: {match[1]} must begin with MLFLOW_ or WANDB_")
        found[match[1]] = match[2] if match[2] is not None else match[3]
    return found


def ignored_variables(project: Project, environment: Iterable[str]) -> list[str]:
    """Return the variables of a shell that have no effect, because project.yml sets them."""
    trackers = TRACKER_PREFIXES if project.tracking.receivers else ()
    return sorted(name for name in environment if name in SERVER_SETTINGS or name.startswith(trackers))

"""The environment of a parent, read once: where its kit, key and workspace are, and which ports it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fl_app import contract
from fl_app.startup.exit_codes import Exit, StartupError

SERVER_WAIT_SECONDS = 60.0
METRICS_KEPT_SECONDS = 600.0
SITE_PATIENCE_SECONDS = 3600.0
TASK_TIMEOUT_SECONDS = 86400.0
"""A day: longer than rounds take, and a hanging site is still found out."""


@dataclass(frozen=True)
class Settings:
    """Where a parent runs. All of it has defaults that fit the containers of the kit."""

    kit: Path
    key: Path
    """A folder; where it holds no key, the kit's own is used."""
    workspace: Path
    parent_port: int
    telemetry_host: str
    telemetry_port: int
    push_host: str | None
    """The name under which jobs reach the telemetry port, if not the address that it listens on."""
    metrics_kept: float
    """Seconds for which a finished job's series stay."""
    server_address: tuple[str, int] | None
    """Where this site reaches the server, if not where the kit says."""
    server_wait: float
    """Seconds."""
    termination_log: Path | None
    jobs: Path | None = None
    """Where jobs run in pods of their own: the folder that describes them."""
    site_patience: float = SITE_PATIENCE_SECONDS
    """Seconds for which a job waits for sites that are not registered."""
    task_timeout: float = TASK_TIMEOUT_SECONDS
    """Seconds in which a site at work must return or log something; 0 for ever."""
    analytics_keep_days: float | None = None
    """For how long event files stay after a job's last value; None is until the job is deleted."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment.

        Raises:
            StartupError: a value cannot be.
        """
        address = environment.get(contract.ENV_SERVER_ADDRESS)
        log = environment.get(contract.ENV_TERMINATION_LOG)
        jobs = environment.get(contract.ENV_JOBS)
        return cls(
            kit=_path(environment, contract.ENV_KIT, str(contract.KIT_PATH)),
            key=_path(environment, contract.ENV_KEY, str(contract.KEY_PATH)),
            workspace=_path(environment, contract.ENV_WORKSPACE, str(contract.WORKSPACE_PATH)),
            parent_port=_port(environment, contract.ENV_PARENT_PORT, contract.PARENT_PORT),
            telemetry_host=environment.get(contract.ENV_TELEMETRY_HOST) or "0.0.0.0",  # noqa: S104
            telemetry_port=_port(environment, contract.ENV_TELEMETRY_PORT, contract.TELEMETRY_PORT),
            push_host=environment.get(contract.ENV_PUSH_HOST) or None,
            metrics_kept=_seconds(environment, contract.ENV_METRICS_KEPT, METRICS_KEPT_SECONDS),
            server_address=parse_address(address) if address else None,
            server_wait=_seconds(environment, contract.ENV_SERVER_WAIT, SERVER_WAIT_SECONDS),
            termination_log=Path(log) if log else None,
            jobs=Path(jobs) if jobs else None,
            site_patience=_seconds(environment, contract.ENV_SITE_PATIENCE, SITE_PATIENCE_SECONDS),
            task_timeout=_seconds(environment, contract.ENV_TASK_TIMEOUT, TASK_TIMEOUT_SECONDS),
            analytics_keep_days=_days(environment, contract.ENV_ANALYTICS_KEEP_DAYS),
        )


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT as two values.

    Raises:
        StartupError: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    if not host or not _is_port(port):
        raise StartupError(
            Exit.SETTINGS,
            f"{contract.ENV_SERVER_ADDRESS}={text}: expected HOST:PORT, such as flare.example.org:8002",
        )
    return host.strip("[]"), int(port)


def _path(environment: Mapping[str, str], name: str, default: str) -> Path:
    return Path(environment.get(name) or default).absolute()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not _is_port(text):
        raise StartupError(Exit.SETTINGS, f"{name}={text}: expected a port, 1 to 65535")
    return int(text)


def _days(environment: Mapping[str, str], name: str) -> float | None:
    text = environment.get(name) or ""
    if not text:
        return None
    days = _number(text)
    if not 0 < days < float("inf"):
        raise StartupError(Exit.SETTINGS, f"{name}={text}: expected a number of days, more than 0")
    return days


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    seconds = _number(text)
    if not 0 <= seconds < float("inf"):
        raise StartupError(Exit.SETTINGS, f"{name}={text}: expected a number of seconds")
    return seconds


def _number(text: str) -> float:
    """A number; what is none is below zero."""
    try:
        return float(text)
    except ValueError:
        return -1.0

"""Settings of a parent, read from its FLARE_ environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fl_app import contract
from fl_app.checks.exit_codes import Exit, StartupError
from fl_app.contract import (
    METRICS_KEPT_SECONDS,
    SITE_PATIENCE_SECONDS,
    SITE_WAIT_SECONDS,
    TASK_TIMEOUT_SECONDS,
)
from fl_app.guard.rule_table import parse_levels

_PREFIX = "FLARE_"


def _port(value: int | str) -> int:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("not a decimal number")
    return int(value)


def _address(value: Any) -> Any:
    """Split HOST:PORT; an IPv6 address is in brackets."""
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host:
        raise ValueError("no host")
    return host.strip("[]"), port


def _levels(value: str) -> str:
    parse_levels(dict(entry.partition("=")[::2] for entry in value.split(",") if entry))
    return value


_Port = Annotated[int, BeforeValidator(_port), Field(ge=1, le=65535, description="a port, 1 to 65535")]
_Address = Annotated[
    tuple[str, _Port] | None,
    NoDecode,
    BeforeValidator(_address),
    Field(description="HOST:PORT, such as flare.example.org:8002"),
]
_Folder = Annotated[Path, AfterValidator(Path.absolute)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number of seconds")]
_Rules = Annotated[
    str,
    AfterValidator(_levels),
    Field(description="RULE=LEVEL,RULE=LEVEL, with levels error, warn and off"),
]
_Days = Annotated[float | None, Field(gt=0, allow_inf_nan=False, description="a number of days, more than 0")]


class Settings(BaseSettings):
    """Settings of a parent; the variable of each field is FLARE_ and its name in capitals.

    The defaults fit Flarefleet's containers. An empty variable counts as missing.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True)

    kit: _Folder = Path(contract.KIT_PATH)
    key: _Folder = Path(contract.KEY_PATH)
    """Folder of the private key. If it contains no key, the parent uses the kit's own."""
    workspace: _Folder = Path(contract.WORKSPACE_PATH)
    parent_port: _Port = contract.PARENT_PORT
    telemetry_host: str = "0.0.0.0"  # noqa: S104
    telemetry_port: _Port = contract.TELEMETRY_PORT
    push_host: str | None = None
    """Host name at which jobs reach the telemetry port; the default is the address that it listens on."""
    metrics_kept: _Seconds = METRICS_KEPT_SECONDS
    """Seconds for which a finished job's series stay."""
    server_address: _Address = None
    """Address of the server, if it differs from the one in the kit."""
    server_wait: _Seconds = 60.0
    """Seconds for which a starting site waits for its server."""
    termination_log: Path | None = None
    """File for the line that says why the parent did not start."""
    jobs: Path | None = None
    """Folder that describes job pods; None if jobs run as processes."""
    site_patience: _Seconds = SITE_PATIENCE_SECONDS
    """Seconds for which a job waits for sites that are not registered."""
    task_timeout: _Seconds = TASK_TIMEOUT_SECONDS
    """Seconds within which a site must return a result or log a metric; 0 disables the timeout."""
    guard_rules: _Rules = ""
    """Levels of the guard's rules: RULE=LEVEL, separated by commas."""
    survival: Annotated[bool, Field(description="true or false")] = True
    """Whether running jobs survive killed processes, and sites that are away."""
    site_wait: _Seconds = SITE_WAIT_SECONDS
    """Seconds for which a running job waits for a site that gives no sign of life."""
    fork_jobs: Annotated[bool, Field(description="true or false")] = True
    """Whether job processes are forked from a prepared process."""
    direct_exchange: Annotated[bool, Field(description="true or false")] = True
    """Whether job processes exchange models without copies."""
    restart: Annotated[bool, Field(description="true or false")] = True
    """Whether a parent that died is started again without an administrator's request."""
    restarts: Annotated[int, Field(ge=0, description="a number")] = 0
    """How often the runtime has started this parent again."""
    last_exit: str = ""
    """How the parent exited before the runtime started it again."""
    analytics_keep_days: _Days = None
    """Days for which event files stay after a job's last value; None keeps them until the job is deleted."""

    @classmethod
    def read(cls) -> Settings:
        """Read the settings from the environment.

        Raises:
            StartupError: a value is invalid; the message names its variable.
        """
        try:
            return cls()
        except ValidationError as error:
            field = str(error.errors()[0]["loc"][0])
            name, expected = _PREFIX + field.upper(), cls.model_fields[field].description
            raise StartupError(
                Exit.SETTINGS, f"{name}={os.environ.get(name)}: expected {expected}"
            ) from error

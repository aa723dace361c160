"""What a parent that launches job pods knows of its release: launcher.yaml, which the chart writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

SETTINGS_FILE = "launcher.yaml"
STUDY_RUNTIME_FILE = "study_runtime.yaml"
"""NVFlare's own name and format; in it the template of a job's pod."""


class Owner(BaseModel, frozen=True, extra="forbid"):
    """The object with which job pods go."""

    apiVersion: str  # noqa: N815 - Kubernetes' name
    kind: str
    name: str


class Address(BaseModel, frozen=True, extra="forbid"):
    """A port of the parent, as its job pods reach it."""

    host: str
    port: int


class LauncherSettings(BaseModel, frozen=True, extra="forbid"):
    """The chart's part of the launcher."""

    namespace: str
    owner: Owner
    labels: dict[str, str]
    """Of this release's job pods and of no others."""
    parent: Address
    gpus: int = Field(0, ge=0)
    """What a job gets that names no number."""
    gpu_resource: str
    ephemeral_storage: str
    start_timeout_seconds: float = Field(gt=0)
    pending_timeout_seconds: float | None = None
    ttl_seconds_after_finished: float = Field(0, ge=0)
    default_resources: dict[str, Any] = Field(default_factory=dict)
    """A container's requests and limits where a job names none."""

    @classmethod
    def read(cls, folder: Path) -> LauncherSettings:
        """Read launcher.yaml in `folder`.

        Raises:
            ValueError: it is missing or not as the chart writes it.
        """
        file = folder / SETTINGS_FILE
        try:
            return cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ValueError(f"{file} is not what the chart writes: {error}") from error

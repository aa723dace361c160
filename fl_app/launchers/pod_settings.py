"""launcher.yaml: the settings of job pods, which the chart writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

SETTINGS_FILE = "launcher.yaml"
STUDY_RUNTIME_FILE = "study_runtime.yaml"
"""NVFlare's own name and format; it contains the template of a job's pod."""


class OwnerReference(BaseModel, frozen=True, extra="forbid"):
    """The object whose deletion also deletes the job pods; its uid is only known at run time."""

    apiVersion: str  # noqa: N815 - Kubernetes' name
    kind: str
    name: str


class Address(BaseModel, frozen=True, extra="forbid"):
    """The address at which job pods reach their parent."""

    host: str
    port: int


class CheckpointVolume(BaseModel, frozen=True, extra="forbid"):
    """The volume of the server's workspace, on which its job pods save their checkpoints."""

    claim: str
    """PersistentVolumeClaim of the server's pod."""
    node_of: dict[str, str] = Field(default_factory=dict)
    """Labels of the pod on whose node the job pods must run to mount it; empty if any node can."""


class LauncherSettings(BaseModel, frozen=True, extra="forbid"):
    """The settings of one release."""

    namespace: str
    owner: OwnerReference
    labels: dict[str, str]
    """Labels that only the job pods of this release have."""
    parent: Address
    gpus: int = Field(0, ge=0)
    """Number of GPUs for a job that does not request a number."""
    gpu_resource: str
    ephemeral_storage: str
    start_timeout_seconds: float = Field(gt=0)
    pending_timeout_seconds: float | None = None
    ttl_seconds_after_finished: float = Field(0, ge=0)
    default_resources: dict[str, Any] = Field(default_factory=dict)
    """Requests and limits of a container, for a job that does not set them."""

    checkpoints: CheckpointVolume | None = None
    """Only of the server; None if it has no claim that a second pod can mount."""

    @classmethod
    def read(cls, folder: Path) -> LauncherSettings:
        """Read launcher.yaml in `folder`.

        Raises:
            ValueError: the file is missing or invalid.
        """
        file = folder / SETTINGS_FILE
        try:
            return cls.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ValueError(f"{file} is invalid: {error}") from error

"""The result of provisioning: what changed, and which certificates expire soon."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel

AUTHORITY = "certificate authority"
"""Name of the federation's certificate authority in reports."""


class Renewal(BaseModel, frozen=True):
    """A kit that was built again, or a new certificate authority."""

    name: str
    reason: str


class Removal(BaseModel, frozen=True):
    """A participant that project.yml no longer has."""

    name: str
    kit: Path
    """The folder that now holds its kit."""
    valid_until: datetime | None
    """Expiry of its certificate. Until then the server accepts it, because NVFlare has no revocation."""


class Expiring(BaseModel, frozen=True):
    """A certificate that has expired or expires soon."""

    name: str
    date: datetime

    @property
    def is_expired(self) -> bool:
        """Return whether it has expired by now."""
        return self.date <= datetime.now(timezone.utc)


class ProvisionReport(BaseModel, frozen=True):
    """The changes of a federation's workspace."""

    project: str
    workspace: Path
    created: tuple[str, ...] = ()
    renewed: tuple[Renewal, ...] = ()
    unchanged: int = 0
    removed: tuple[Removal, ...] = ()
    expiring: tuple[Expiring, ...] = ()

    @property
    def changed(self) -> bool:
        """Return whether any kit was created, renewed or removed."""
        return bool(self.created or self.renewed or self.removed)


class ReleaseChange(BaseModel, frozen=True):
    """A release folder that would change."""

    name: str
    files: tuple[str, ...]
    """The files and folders in it that would be written."""


class ProvisionPreview(ProvisionReport, frozen=True):
    """The changes that provisioning would make."""

    releases: tuple[ReleaseChange, ...] = ()

"""What a provisioning did, and what it found that somebody has to act on."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from pydantic import BaseModel

AUTHORITY = "certificate authority"
"""The name under which the federation's own certificate is reported."""


class Renewal(BaseModel, frozen=True):
    """A kit that was made anew, or the certificate authority."""

    name: str
    reason: str


class Removal(BaseModel, frozen=True):
    """A participant that project.yml no longer names."""

    name: str
    kit: Path
    """Where its kit lies now."""
    valid_until: datetime | None
    """When its certificate ends: until then the server accepts it, as NVFlare has no revocation."""


class Expiring(BaseModel, frozen=True):
    """A certificate that has ended or soon will."""

    name: str
    date: datetime

    @property
    def is_expired(self) -> bool:
        """Whether it has ended by now."""
        return self.date <= datetime.now(timezone.utc)


class ProvisionReport(BaseModel, frozen=True):
    """What changed in a federation's workspace."""

    project: str
    workspace: Path
    created: tuple[str, ...] = ()
    renewed: tuple[Renewal, ...] = ()
    unchanged: int = 0
    removed: tuple[Removal, ...] = ()
    expiring: tuple[Expiring, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether any kit was made, renewed or removed."""
        return bool(self.created or self.renewed or self.removed)

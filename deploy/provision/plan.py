"""Compare project.yml with the recorded kits and the files in the workspace, and plan the changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from deploy.errors import InputError
from deploy.project import Project
from deploy.project.validation.diagnostics import listed
from deploy.provision.content import REASONS, KitSpec, kit_specs
from deploy.provision.encryption_context import ContextPlan, EncryptionContext
from deploy.provision.report import AUTHORITY, Expiring
from deploy.provision.state import (
    CERTIFICATES,
    KITS,
    Certificate,
    CertificateIdentity,
    Credentials,
    FileRecord,
    KitRecord,
    digest_of,
    read_kits,
)
from deploy.secret_files import SECRET_SUFFIXES
from deploy.workspace import Workspace

RENEWAL_PERIOD = timedelta(days=30)
"""A certificate that expires within this time is reported, and renewed by `--renew`."""


@dataclass(frozen=True)
class ProvisionPlan:
    """The changes that bring a workspace up to date with project.yml."""

    specs: dict[str, KitSpec]
    new_authority: str | None
    """Reason to create a new certificate authority; "" for the first one; None to keep the authority."""
    issue: dict[str, str]
    """Participants that need a certificate, each with the reason; "" for a new participant."""
    build: dict[str, str]
    """Participants whose kit is built, each with the reason; "" for a new participant."""
    keep: dict[str, KitRecord]
    """Kits that are up to date."""
    remove: dict[str, datetime | None]
    """Participants that project.yml no longer has, each with the expiry of its certificate."""
    expiring: tuple[Expiring, ...]
    recorded: dict[str, KitRecord]
    """Every kit as the last run left it."""
    context: EncryptionContext | None = None
    """The context of homomorphic encryption to keep; None to make one if project.yml has HEBuilder."""

    @property
    def is_empty(self) -> bool:
        """Return whether the workspace is up to date."""
        return self.new_authority is None and not (self.issue or self.build or self.remove)


def make_plan(
    project: Project, workspace: Workspace, *, renew: bool = False, now: datetime | None = None
) -> ProvisionPlan:
    """Plan the changes of the workspace.

    Args:
        renew: renew certificates that expire within 30 days, and replace a key of homomorphic encryption
            that is lost or was made with other arguments.
        now: the time for checks of expiry; the current time if None.

    Raises:
        InputError: the authority has expired or its key is lost, or the key of homomorphic encryption needs
            to be replaced, and `renew` is not set.
        MachineError: cert.json or the key of homomorphic encryption is damaged.
    """
    now = now or datetime.now(timezone.utc)
    specs = kit_specs(project)
    credentials = Credentials(workspace.state)
    expiry = credentials.authority_expiry
    new_authority = _new_authority(expiry, workspace, renew, now)
    found = {name: credentials.certificate(name) for name in specs}
    issue = {
        name: reason
        for name, kit in specs.items()
        if (reason := new_authority) is not None
        or (reason := _reason_to_issue(kit.identity, found[name], now if renew else None)) is not None
    }
    recorded = read_kits(workspace.state)
    encryption = ContextPlan.make(project, workspace, recorded, renew=renew or new_authority is not None)
    keep: dict[str, KitRecord] = {}
    build: dict[str, str] = {}
    for name, kit in specs.items():
        last = recorded.get(name)
        reason = issue.get(name) or _reason_to_build(workspace, kit, last, found[name])
        if last is not None or new_authority:
            other = encryption.reason_to_build(kit.identity.kind, last.files if last else {})
            reason = "; ".join(filter(None, [reason, other])) or reason
        if reason is None and name not in issue and last is not None:
            keep[name] = last
        else:
            build[name] = reason or "" if last is not None or new_authority else ""
    certificates = {
        name: certificate for name, certificate in found.items() if certificate and name not in issue
    }
    if expiry and new_authority is None and issue and expiry <= now:
        raise InputError(
            f"The certificate authority of {project.name} expired {expiry:%Y-%m-%d} and cannot "
            f"sign certificates for {listed(list(issue), 5)}. Create a new authority and rebuild every kit: "
            "flarefleet provision --renew"
        )
    existing = set(credentials.names())
    if workspace.kits.is_dir():
        existing |= {folder.name for folder in workspace.kits.iterdir() if (folder / "startup").is_dir()}
    return ProvisionPlan(
        specs=specs,
        new_authority=new_authority,
        issue=issue,
        build=build,
        keep=keep,
        remove={
            name: certificate.expires if (certificate := credentials.certificate(name)) else None
            for name in sorted(existing - specs.keys())
        },
        expiring=tuple(find_expiring(expiry if new_authority is None else None, certificates, now)),
        recorded=recorded,
        context=encryption.context,
    )


def _new_authority(expiry: datetime | None, workspace: Workspace, renew: bool, now: datetime) -> str | None:
    if expiry is None:
        if not workspace.kits.is_dir() or not any(workspace.kits.iterdir()):
            return ""
        if not (workspace.state / KITS).exists():
            return f"a new certificate authority: {workspace.state} was moved away"
        if not renew:
            raise InputError(
                f"{workspace.state / CERTIFICATES} is missing, but {workspace.kits} has kits that it signed. "
                "Restore the file from a backup, or run `flarefleet provision --renew` for a new certificate "
                "authority. It rebuilds every kit, and old kits stop working."
            )
        return "a new certificate authority: the key of the old one was lost"
    if renew and expiry <= now + RENEWAL_PERIOD:
        return f"a new certificate authority: the old one expires {expiry:%Y-%m-%d}"
    return None


def _reason_to_issue(
    wanted: CertificateIdentity, found: Certificate | None, renewal: datetime | None
) -> str | None:
    if found is None:
        return ""
    has = found.identity
    if has.kind != wanted.kind:
        return f"it was a {has.kind} and is now a {wanted.kind}"
    if has.org != wanted.org:
        return f"its organization was {has.org} and is now {wanted.org}"
    if has.role != wanted.role:
        return f"its role was {has.role} and is now {wanted.role}"
    if has.hosts != wanted.hosts:
        return f"its host names were {', '.join(has.hosts)} and are now {', '.join(wanted.hosts)}"
    if renewal is not None and found.expires <= renewal + RENEWAL_PERIOD:
        return f"its certificate expires {found.expires:%Y-%m-%d}"
    return None


def _reason_to_build(
    workspace: Workspace, spec: KitSpec, last: KitRecord | None, certificate: Certificate | None
) -> str | None:
    """Return the reason to build the kit: "" if it is new, None if it is up to date."""
    if last is None:
        return ""
    reasons = [text for part, text in REASONS.items() if last.parts.get(part) != spec.parts.get(part)]
    if reasons:
        return "; ".join(reasons)
    if certificate is not None and last.certificate != certificate.digest:
        return "its certificate was renewed"
    return next(_damage(workspace, spec.name, last), None)


def _damage(workspace: Workspace, name: str, record: KitRecord) -> Iterator[str]:
    kit = workspace.kit(name)
    if not kit.is_dir():
        yield "its kit was missing"
        return
    for path, file in record.files.items():
        if damage := _file_damage(f"{kit}/{path}", file):
            yield f"{path} {damage}"


def _file_damage(path: str, record: FileRecord) -> str | None:
    """Return how a file differs from its record, or None. Read it only if its modification time differs."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "was missing"
    if not stat.S_ISREG(found.st_mode):
        return "was not a file"
    if path.endswith(SECRET_SUFFIXES) and found.st_mode & 0o077:
        return "was readable by others"
    if found.st_size != record.size:
        return "had been changed"
    if found.st_mtime_ns != record.time and digest_of(Path(path).read_bytes()) != record.digest:
        return "had been changed"
    return None


def find_expiring(
    expiry: datetime | None, certificates: dict[str, Certificate], now: datetime
) -> Iterator[Expiring]:
    """Yield the certificates that expire within 30 days of `now`."""
    if expiry and expiry <= now + RENEWAL_PERIOD:
        yield Expiring(name=AUTHORITY, date=expiry)
    for name, certificate in certificates.items():
        if certificate.expires <= now + RENEWAL_PERIOD:
            yield Expiring(name=name, date=certificate.expires)

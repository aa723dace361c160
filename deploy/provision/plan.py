"""What has to be done: project.yml, held against what was made last time and what lies there now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from deploy.errors import InputError
from deploy.project import Project
from deploy.provision.content import REASONS, Wanted, wanted_kits
from deploy.provision.report import AUTHORITY, Expiring
from deploy.provision.state import (
    CERTIFICATES,
    Authority,
    Certificate,
    Credentials,
    Identity,
    MadeFile,
    MadeKit,
    digest_of,
    read_kits,
)
from deploy.workspace import Workspace

SOON = timedelta(days=30)
"""A certificate that ends within this time is named, and renewed when that is asked for."""
KEY_SUFFIX = ".key"


@dataclass(frozen=True)
class Plan:
    """What has to be done."""

    wanted: dict[str, Wanted]
    certificates: dict[str, Certificate]
    """Those that stay."""
    new_authority: str | None
    """Why every certificate is made anew, the authority's included; "" for the very first; None: it stays."""
    issue: dict[str, str]
    """Who needs a certificate, and why; "" for a new participant."""
    make: dict[str, str]
    """Whose kit is made, and why; "" for a new participant."""
    keep: dict[str, MadeKit]
    """Kits that are as they should be."""
    retire: dict[str, datetime | None]
    """Whose kit goes, and until when its certificate is valid."""
    expiring: tuple[Expiring, ...]
    made: dict[str, MadeKit]
    """Every kit as it was made last time."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        return self.new_authority is None and not (self.issue or self.make or self.retire)


def make_plan(
    project: Project, workspace: Workspace, *, renew: bool = False, now: datetime | None = None
) -> Plan:
    """Find what has to be done.

    Args:
        renew: whether certificates that soon end are made anew.
        now: by which time certificates are judged; the present if None.

    Raises:
        InputError: the authority has ended, or its key is lost, and `renew` does not say to make another.
        MachineError: the state is damaged.
    """
    now = now or datetime.now(timezone.utc)
    wanted = wanted_kits(project)
    credentials = Credentials(workspace.state)
    new_authority = _new_authority(credentials.authority, workspace, renew, now)
    found = {name: credentials.certificate(name) for name in wanted}
    issue = {
        name: reason
        for name, kit in wanted.items()
        if (reason := new_authority) is not None
        or (reason := _reason_to_issue(kit.identity, found[name], now if renew else None)) is not None
    }
    made = read_kits(workspace.state)
    keep: dict[str, MadeKit] = {}
    make: dict[str, str] = {}
    for name, kit in wanted.items():
        last = made.get(name)
        reason = issue.get(name) or _reason_to_make(workspace, kit, last, found[name])
        if reason is None and name not in issue and last is not None:
            keep[name] = last
        else:
            make[name] = reason or "" if last is not None else ""
    certificates = {
        name: certificate for name, certificate in found.items() if certificate and name not in issue
    }
    _check_authority(project, credentials.authority, new_authority, issue, now)
    return Plan(
        wanted=wanted,
        certificates=certificates,
        new_authority=new_authority,
        issue=issue,
        make=make,
        keep=keep,
        retire={name: _end(credentials, name) for name in _not_wanted(workspace, credentials, wanted)},
        expiring=tuple(
            find_expiring(credentials.authority if new_authority is None else None, certificates, now)
        ),
        made=made,
    )


def _new_authority(
    authority: Authority | None, workspace: Workspace, renew: bool, now: datetime
) -> str | None:
    if authority is None:
        if not workspace.kits.is_dir() or not any(workspace.kits.iterdir()):
            return ""
        if not renew:
            raise InputError(
                f"{workspace.state / CERTIFICATES} is missing, but {workspace.kits} holds kits that it made: "
                "restore it from a backup; or run `flarefleet provision --renew` for a new certificate "
                "authority, after which every kit is made anew and no old one works"
            )
        return "a new certificate authority: the old one's key was lost"
    if renew and authority.expires <= now + SOON:
        return f"a new certificate authority: the old one ends {authority.expires:%Y-%m-%d}"
    return None


def _check_authority(
    project: Project,
    authority: Authority | None,
    new_authority: str | None,
    issue: dict[str, str],
    now: datetime,
) -> None:
    if authority and new_authority is None and issue and authority.expires <= now:
        raise InputError(
            f"the certificate authority of {project.name} ended {authority.expires:%Y-%m-%d}; it can sign "
            f"nothing for {_some(issue)}. Make a new one, and with it every kit anew: "
            "flarefleet provision --renew"
        )


def _reason_to_issue(wanted: Identity, found: Certificate | None, renewal: datetime | None) -> str | None:
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
    if renewal is not None and found.expires <= renewal + SOON:
        return f"its certificate ends {found.expires:%Y-%m-%d}"
    return None


def _reason_to_make(
    workspace: Workspace, wanted: Wanted, last: MadeKit | None, certificate: Certificate | None
) -> str | None:
    """Why the kit has to be made; "" if it never was; None if it is as it should be."""
    if last is None:
        return ""
    reasons = [text for part, text in REASONS.items() if last.parts.get(part) != wanted.parts.get(part)]
    if reasons:
        return "; ".join(reasons)
    if certificate is not None and last.certificate != certificate.digest:
        return "its certificate was made anew"
    return next(_damage(workspace, wanted.name, last), None)


def _damage(workspace: Workspace, name: str, made: MadeKit) -> Iterator[str]:
    """What is wrong with the files of a kit."""
    kit = workspace.kit(name)
    if not kit.is_dir():
        yield "its kit was missing"
        return
    for path, file in made.files.items():
        if wrong := problem(f"{kit}/{path}", file):
            yield f"{path} {wrong}"


def problem(path: str, made: MadeFile) -> str | None:
    """What is wrong with a file that was made; None if it is as it was."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return "was missing"
    if not stat.S_ISREG(found.st_mode):
        return "was no file"
    if path.endswith(KEY_SUFFIX) and found.st_mode & 0o077:
        return "could be read by others"
    if found.st_size != made.size:
        return "had been changed"
    if found.st_mtime_ns != made.time and digest_of(Path(path).read_bytes()) != made.digest:
        return "had been changed"
    return None


def _not_wanted(workspace: Workspace, credentials: Credentials, wanted: dict[str, Wanted]) -> list[str]:
    there = set(credentials.names())
    if workspace.kits.is_dir():
        there |= {folder.name for folder in workspace.kits.iterdir() if (folder / "startup").is_dir()}
    return sorted(there - wanted.keys())


def _end(credentials: Credentials, name: str) -> datetime | None:
    certificate = credentials.certificate(name)
    return certificate.expires if certificate else None


def find_expiring(
    authority: Authority | None, certificates: dict[str, Certificate], now: datetime
) -> Iterator[Expiring]:
    """Those that end within 30 days of `now`."""
    if authority and authority.expires <= now + SOON:
        yield Expiring(name=AUTHORITY, date=authority.expires)
    for name, certificate in certificates.items():
        if certificate.expires <= now + SOON:
            yield Expiring(name=name, date=certificate.expires)


def _some(names: dict[str, str]) -> str:
    first = list(names)[:5]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")

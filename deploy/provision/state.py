"""What provisioning remembers: the authority and every key (cert.json), each kit as it was made (kits.json).

cert.json is in the format of NVFlare's own CertBuilder, which can go on from it. What a certificate says is
noted beside it, so that nobody need parse a thousand of them to find that nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from deploy.errors import MachineError
from deploy.provision.files import write_secret

CERTIFICATES = "cert.json"
KITS = "kits.json"
ISSUED = "issued"
"""In a participant's entry of cert.json: its `Certificate`, as a document. At the top: the authority's."""
KITS_FORMAT = 1


@dataclass(frozen=True)
class Identity:
    """What a certificate says about its holder."""

    kind: str
    org: str
    role: str | None = None
    hosts: tuple[str, ...] = ()
    """The names under which a server is reached; the first is the one that sites use."""


@dataclass(frozen=True)
class Certificate:
    """A participant's certificate."""

    identity: Identity
    expires: datetime
    digest: str


@dataclass(frozen=True)
class Authority:
    """The federation's own certificate, which signs all others."""

    expires: datetime


class MadeFile(NamedTuple):
    """A file of a kit as it was made; time and size tell whether it needs to be read to be compared."""

    size: int
    time: int
    digest: str


@dataclass(frozen=True)
class MadeKit:
    """A kit as it was made, and from what."""

    parts: dict[str, str]
    """What it was made from: see `deploy.provision.content`."""
    certificate: str
    files: dict[str, MadeFile] = field(default_factory=dict)


def digest_of(content: bytes) -> str:
    """The fingerprint of a content."""
    return hashlib.sha256(content).hexdigest()


def note_issued(content: dict[str, Any], name: str, identity: Identity, expires: datetime) -> None:
    """Note beside a participant's certificate what it says."""
    content[name][ISSUED] = {"identity": vars(identity), "expires": expires.isoformat()}


def note_authority(content: dict[str, Any], expires: datetime) -> None:
    """Note beside the authority's certificate when it ends."""
    content[ISSUED] = {"expires": expires.isoformat()}


class Credentials:
    """The content of cert.json, read only.

    Raises:
        MachineError: the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._content = _read(folder / CERTIFICATES)

    @cached_property
    def authority(self) -> Authority | None:
        """The federation's own certificate; None before the first provisioning."""
        if "root_cert" not in self._content:
            return None
        return Authority(expires=datetime.fromisoformat(self._content[ISSUED]["expires"]))

    def certificate(self, name: str) -> Certificate | None:
        """The certificate of the participant `name`; None if it has none of ours."""
        entry = self._content.get(name)
        if not isinstance(entry, dict) or "cert" not in entry or ISSUED not in entry:
            return None
        identity = entry[ISSUED]["identity"]
        return Certificate(
            identity=Identity(**{**identity, "hosts": tuple(identity["hosts"])}),
            expires=datetime.fromisoformat(entry[ISSUED]["expires"]),
            digest=digest_of(entry["cert"].encode()),
        )

    def names(self) -> list[str]:
        """Every participant that has a key."""
        return [
            name for name, entry in self._content.items() if isinstance(entry, dict) and "pri_key" in entry
        ]


def read_kits(folder: Path) -> dict[str, MadeKit]:
    """Every kit as it was made; empty if nothing is known: then all are made again."""
    try:
        content = json.loads((folder / KITS).read_bytes())
        if content["format"] != KITS_FORMAT:
            return {}
        return {
            name: MadeKit(
                parts=kit["parts"],
                certificate=kit["certificate"],
                files={path: MadeFile._make(made) for path, made in kit["files"].items()},
            )
            for name, kit in content["kits"].items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_kits(folder: Path, kits: dict[str, MadeKit]) -> None:
    """Remember every kit as it was made."""
    document = {
        "format": KITS_FORMAT,
        "kits": {
            name: {
                "parts": kit.parts,
                "certificate": kit.certificate,
                "files": kit.files,
            }
            for name, kit in kits.items()
        },
    }
    write_secret(folder / KITS, json.dumps(document).encode())


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise MachineError(_damaged(file, str(error))) from error
    if not isinstance(content, dict) or "root_cert" not in content or ISSUED not in content:
        raise MachineError(_damaged(file, "it holds no certificate authority of ours"))
    return content


def _damaged(file: Path, why: str) -> str:
    return (
        f"{file} is damaged ({why}). It holds the federation's certificate authority: restore it from a "
        "backup, or remove it and run `flarefleet provision --renew` for a new authority and every kit anew"
    )

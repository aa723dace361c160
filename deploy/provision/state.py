"""The records of provisioning: authority and keys (cert.json), and the files of each kit (kits.json).

cert.json has the format of NVFlare's CertBuilder, which can continue from it. It also records the content of
each certificate, so that a run without changes does not parse a thousand certificates.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from deploy.errors import MachineError
from fl_app.files import PRIVATE_FILE, write_atomically

CERTIFICATES = "cert.json"
KITS = "kits.json"
ISSUED = "issued"
"""Key in cert.json of a certificate's content: in a participant's entry, and at the top for the authority."""
KITS_FORMAT = 1


@dataclass(frozen=True)
class CertificateIdentity:
    """The holder of a certificate as the certificate names it."""

    kind: str
    org: str
    role: str | None = None
    hosts: tuple[str, ...] = ()
    """Host names of a server. Sites use the first."""


@dataclass(frozen=True)
class Certificate:
    """A participant's certificate."""

    identity: CertificateIdentity
    expires: datetime
    digest: str


class FileRecord(NamedTuple):
    """A file of a kit when it was built. A file of the same size and modification time is not read."""

    size: int
    time: int
    digest: str


@dataclass(frozen=True)
class KitRecord:
    """A kit when it was built."""

    parts: dict[str, str]
    """Digest of each part that it depends on, see `deploy.provision.content`."""
    certificate: str
    """Digest of its certificate."""
    files: dict[str, FileRecord] = field(default_factory=dict)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content."""
    return hashlib.sha256(content).hexdigest()


class Credentials:
    """The content of cert.json, read-only.

    Raises:
        MachineError: the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._content = _read(folder / CERTIFICATES)

    @cached_property
    def authority_expiry(self) -> datetime | None:
        """Return when the certificate authority expires, or None before the first provisioning."""
        if "root_cert" not in self._content:
            return None
        return datetime.fromisoformat(self._content[ISSUED]["expires"])

    def certificate(self, name: str) -> Certificate | None:
        """Return a participant's certificate, or None if there is none with a record of its content."""
        entry = self._content.get(name)
        if not isinstance(entry, dict) or "cert" not in entry or ISSUED not in entry:
            return None
        identity = entry[ISSUED]["identity"]
        return Certificate(
            identity=CertificateIdentity(**{**identity, "hosts": tuple(identity["hosts"])}),
            expires=datetime.fromisoformat(entry[ISSUED]["expires"]),
            digest=digest_of(entry["cert"].encode()),
        )

    def names(self) -> list[str]:
        """Return the participants that have a key."""
        return [
            name for name, entry in self._content.items() if isinstance(entry, dict) and "pri_key" in entry
        ]


def read_kits(folder: Path) -> dict[str, KitRecord]:
    """Return the record of every kit, or nothing if kits.json in the state folder is missing or damaged."""
    file = folder / KITS
    try:
        found = file.stat()
    except FileNotFoundError:
        return {}
    return _read_kits(file, found.st_ino, found.st_mtime_ns)


@lru_cache(maxsize=1)
def _read_kits(file: Path, _inode: int, _time: int) -> dict[str, KitRecord]:
    """Read kits.json. Parsing it for 1,000 sites takes a tenth of a run without changes."""
    try:
        content = json.loads(file.read_bytes())
        if content["format"] != KITS_FORMAT:
            return {}
        return {
            name: KitRecord(
                parts=kit["parts"],
                certificate=kit["certificate"],
                files={path: FileRecord._make(record) for path, record in kit["files"].items()},
            )
            for name, kit in content["kits"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_kits(folder: Path, kits: dict[str, KitRecord]) -> None:
    """Write the record of every kit."""
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
    write_atomically(folder / KITS, json.dumps(document).encode(), PRIVATE_FILE)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise MachineError(_damaged(file, str(error))) from error
    if not isinstance(content, dict) or "root_cert" not in content or ISSUED not in content:
        raise MachineError(_damaged(file, "it has no certificate authority with a record of its expiry"))
    return content


def _damaged(file: Path, why: str) -> str:
    return (
        f"{file} is damaged ({why}). It holds the federation's certificate authority. Restore it from a "
        "backup, or delete it and run `flarefleet provision --renew`, which creates a new authority and "
        "rebuilds every kit."
    )

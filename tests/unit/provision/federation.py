"""A federation whose project.yml a test changes, provisions and looks at."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.project import Project, load_project
from deploy.provision import ProvisionReport, provision
from deploy.workspace import Workspace

SERVER = "flare.example.org"
ADMIN = "admin@example.org"
LIGHTER = "nvflare.lighter.impl"


def document(*sites: str) -> dict[str, Any]:
    """A project.yml as NVFlare's own template has it."""
    return {
        "api_version": 3,
        "name": "hospitals",
        "description": "for tests",
        "participants": [
            {"name": SERVER, "type": "server", "org": "consortium", "fed_learn_port": 8002},
            *({"name": site, "type": "client", "org": "county"} for site in sites),
            {"name": ADMIN, "type": "admin", "org": "consortium", "role": "project_admin"},
        ],
        "builders": [
            {"path": f"{LIGHTER}.workspace.WorkspaceBuilder"},
            {
                "path": f"{LIGHTER}.static_file.StaticFileBuilder",
                "args": {"config_folder": "config", "scheme": "grpc"},
            },
            {"path": f"{LIGHTER}.cert.CertBuilder"},
            {"path": f"{LIGHTER}.signature.SignatureBuilder"},
        ],
    }


@dataclass(frozen=True)
class Seen:
    """A file as it is now."""

    content: bytes
    time: int


class Federation:
    """A project.yml and its workspace."""

    def __init__(self, folder: Path, *sites: str) -> None:
        self.folder = folder
        self.document = document(*sites)

    @property
    def project(self) -> Project:
        """project.yml, written and read."""
        file = self.folder / "project.yml"
        file.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return load_project(file)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "workspace" / self.document["name"])

    def provision(self, **options: Any) -> ProvisionReport:
        return provision(self.project, self.workspace, **options)

    def entry(self, name: str) -> dict[str, Any]:
        """The participant's entry, to be changed."""
        return next(entry for entry in self.document["participants"] if entry["name"] == name)

    def add(self, *sites: str) -> None:
        self.document["participants"] += [{"name": site, "type": "client", "org": "county"} for site in sites]

    def remove(self, name: str) -> dict[str, Any]:
        entry = self.entry(name)
        self.document["participants"].remove(entry)
        return entry

    def set_root_validity(self, days: int) -> None:
        """Only before the first provisioning: it is NVFlare's root_valid_days."""
        self.document["builders"][2]["args"] = {"root_valid_days": days}

    def copy_to(self, folder: Path) -> Federation:
        other = Federation(folder)
        other.document = copy.deepcopy(self.document)
        return other

    def seen(self, *names: str) -> dict[str, Seen]:
        """Every file of these participants' kits and releases; of the whole workspace without names."""
        tops = [self.workspace.kit(name) for name in names] + [
            self.workspace.release / name for name in names
        ]
        return look_at(*(tops or [self.workspace.root]))

    def certificate(self, name: str) -> x509.Certificate:
        return certificate_of(self.workspace.kit(name))


def look_at(*folders: Path) -> dict[str, Seen]:
    """Every file below the folders, with its content and time."""
    return {
        str(Path(where, name)): Seen(Path(where, name).read_bytes(), Path(where, name).stat().st_mtime_ns)
        for folder in folders
        for where, _, names in os.walk(folder)
        for name in names
    }


def certificate_of(kit: Path) -> x509.Certificate:
    file = next(file for file in (kit / "startup").glob("*.crt"))
    return x509.load_pem_x509_certificate(file.read_bytes())


def assert_whole(kit: Path) -> None:
    """The kit's key fits its certificate, and its authority signed it."""
    certificate = certificate_of(kit)
    key = load_pem_private_key(next((kit / "startup").glob("*.key")).read_bytes(), password=None)
    assert key.public_key() == certificate.public_key()
    authority = x509.load_pem_x509_certificate((kit / "startup" / "rootCA.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)

"""A federation whose project.yml a test changes and provisions."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.federation_files import make_kits_and_releases
from deploy.project import Project, load_project
from deploy.provision import ProvisionReport
from deploy.workspace import Workspace

SERVER = "flare.example.org"
ADMIN = "admin@example.org"
LIGHTER = "nvflare.lighter.impl"
STATIC_FILES = {"config_folder": "config", "scheme": "grpc"}


def document(*sites: str) -> dict[str, Any]:
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
            {"path": f"{LIGHTER}.static_file.StaticFileBuilder", "args": {**STATIC_FILES}},
            {"path": f"{LIGHTER}.cert.CertBuilder"},
            {"path": f"{LIGHTER}.signature.SignatureBuilder"},
        ],
    }


FileState = tuple[bytes, int]
"""Content and modification time of a file."""


class Federation:
    """A project.yml and its workspace."""

    def __init__(self, folder: Path, *sites: str) -> None:
        self.folder = folder
        self.document = document(*sites)

    @property
    def project(self) -> Project:
        file = self.folder / "project.yml"
        file.write_text(yaml.safe_dump(self.document, sort_keys=False))
        return load_project(file)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "workspace" / self.document["name"])

    def provision(self, **options: Any) -> ProvisionReport:
        return make_kits_and_releases(self.project, self.workspace, **options)

    def entry(self, name: str) -> dict[str, Any]:
        return next(entry for entry in self.document["participants"] if entry["name"] == name)

    def add(self, *sites: str) -> None:
        self.document["participants"] += [{"name": site, "type": "client", "org": "county"} for site in sites]

    def remove(self, name: str) -> dict[str, Any]:
        entry = self.entry(name)
        self.document["participants"].remove(entry)
        return entry

    def set_root_validity(self, days: int) -> None:
        """Set CertBuilder's root_valid_days. Call it before the first provisioning."""
        self.document["builders"][2]["args"] = {"root_valid_days": days}

    def read(self, name: str, file: str) -> Any:
        return json.loads((self.workspace.kit(name) / file).read_text())

    def authority(self, name: str) -> bytes:
        return (self.workspace.kit(name) / "startup" / "rootCA.pem").read_bytes()

    def copy_to(self, folder: Path) -> Federation:
        other = Federation(folder)
        other.document = copy.deepcopy(self.document)
        return other

    def files(self, *names: str) -> dict[str, FileState]:
        """Return every file in the kits and release folders of participants, or in the workspace."""
        folders = [
            folder for name in names for folder in (self.workspace.kit(name), self.workspace.release / name)
        ]
        return files_in(*(folders or [self.workspace.root]))

    def certificate(self, name: str) -> x509.Certificate:
        return certificate_of(self.workspace.kit(name))


def files_in(*folders: Path) -> dict[str, FileState]:
    """Return every file below the folders except lock files."""
    return {
        str(file := Path(where, name)): (file.read_bytes(), file.stat().st_mtime_ns)
        for folder in folders
        for where, _, names in os.walk(folder)
        for name in names
        if not name.endswith(".lock")
    }


def certificate_of(kit: Path) -> x509.Certificate:
    file = next(file for file in (kit / "startup").glob("*.crt"))
    return x509.load_pem_x509_certificate(file.read_bytes())


def assert_valid(kit: Path) -> None:
    """Assert that the kit's key and certificate match, and that its authority signed the certificate."""
    certificate = certificate_of(kit)
    key = load_pem_private_key(next((kit / "startup").glob("*.key")).read_bytes(), password=None)
    assert key.public_key() == certificate.public_key()
    authority = x509.load_pem_x509_certificate((kit / "startup" / "rootCA.pem").read_bytes())
    certificate.verify_directly_issued_by(authority)

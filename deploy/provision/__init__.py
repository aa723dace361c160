"""Provisioning: make keys, certificates and startup kits from project.yml, and later only what changed."""

from deploy.provision.report import AUTHORITY, ProvisionPreview, ProvisionReport, ReleaseChange
from deploy.provision.run import ProvisionProgress, ensure_provisioned, locked_workspace, preview, provision
from deploy.provision.state import KitRecord, read_kits

__all__ = [
    "AUTHORITY",
    "KitRecord",
    "ProvisionPreview",
    "ProvisionProgress",
    "ProvisionReport",
    "ReleaseChange",
    "ensure_provisioned",
    "locked_workspace",
    "preview",
    "provision",
    "read_kits",
]

"""Provisioning: make keys, certificates and startup kits from project.yml, and later only what changed."""

from deploy.provision.report import AUTHORITY, Expiring, ProvisionReport, Removal, Renewal
from deploy.provision.run import ProvisionProgress, ensure_provisioned, locked_workspace, provision
from deploy.provision.state import KitRecord, read_kits

__all__ = [
    "AUTHORITY",
    "Expiring",
    "KitRecord",
    "ProvisionProgress",
    "ProvisionReport",
    "Removal",
    "Renewal",
    "ensure_provisioned",
    "locked_workspace",
    "provision",
    "read_kits",
]

"""Provisioning: make keys, certificates and startup kits from project.yml, and later only what changed."""

from deploy.provision.report import AUTHORITY, ProvisionReport
from deploy.provision.run import ProvisionProgress, ensure_provisioned, locked_workspace, provision
from deploy.provision.state import KitRecord, read_kits

__all__ = [
    "AUTHORITY",
    "KitRecord",
    "ProvisionProgress",
    "ProvisionReport",
    "ensure_provisioned",
    "locked_workspace",
    "provision",
    "read_kits",
]

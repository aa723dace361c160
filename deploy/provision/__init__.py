"""From project.yml to keys, certificates and kits: made once, then only what changed."""

from deploy.provision.report import AUTHORITY, Expiring, ProvisionReport, Removal, Renewal
from deploy.provision.run import Progress, ensure_provisioned, provision

__all__ = [
    "AUTHORITY",
    "Expiring",
    "Progress",
    "ProvisionReport",
    "Removal",
    "Renewal",
    "ensure_provisioned",
    "provision",
]

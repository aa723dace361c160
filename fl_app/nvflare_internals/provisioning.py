"""NVFlare's builders of startup kits."""

from __future__ import annotations

from typing import Any

from nvflare.lighter.entity import Participant, Project
from nvflare.lighter.impl.cert import CertBuilder
from nvflare.lighter.impl.static_file import StaticFileBuilder
from nvflare.lighter.spec import ProvisionContext

USES = {
    "nvflare.lighter.impl.static_file:StaticFileBuilder._build_auth_identity_map": (
        "compute the identities of all participants once, not once for each client"
    ),
    "nvflare.lighter.impl.cert:CertBuilder._build_root": "create the root certificate",
    "nvflare.lighter.impl.cert:CertBuilder._build_internal_listener_cert": (
        "issue the certificate of a parent's listener for job pods"
    ),
}


class KitFileBuilder(StaticFileBuilder):
    """A StaticFileBuilder that computes the identities of all participants once."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._identities: dict[str, str] | None = None

    def initialize(self, project: Project, ctx: ProvisionContext) -> None:
        """Find the hierarchies, and with them every identity that differs from the name."""
        super().initialize(project, ctx)
        self._identities = super()._build_auth_identity_map(project, ctx)

    def _build_auth_identity_map(
        self, project: Project, ctx: ProvisionContext, local_relay: Participant | None = None
    ) -> dict[str, str]:
        if local_relay is None and self._identities is not None:
            return dict(self._identities)
        return dict(super()._build_auth_identity_map(project, ctx, local_relay))


class RootCertBuilder(CertBuilder):
    """A CertBuilder whose single steps subclasses may call."""

    def build_root(self, name: str) -> None:
        """Create or load the root key and certificate of project `name`."""
        self._build_root(name, subject_org=None)

    def build_listener_certificate(self, participant: Participant, ctx: ProvisionContext) -> None:
        """Issue the certificate that a parent shows to its job pods."""
        self._build_internal_listener_cert(participant, ctx)

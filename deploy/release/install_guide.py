"""INSTALL.md: the commands that install one participant."""

from __future__ import annotations

from deploy.release.compose import is_for_several_hosts, render
from deploy.release.participant import Participant
from fl_app.contract import NVFLARE_VERSION


def install_text(participant: Participant) -> str:
    """Return the content of INSTALL.md."""
    return render(
        "INSTALL.md.j2",
        participant=participant,
        project=participant.project,
        deployment=participant.deployment,
        nvflare=NVFLARE_VERSION,
        image=participant.image,
        has_compose=is_for_several_hosts(participant.project),
        address=participant.server_address,
    )

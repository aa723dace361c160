"""INSTALL.md: the commands that install one participant."""

from __future__ import annotations

from functools import cache

import jinja2

from deploy.release.compose import is_for_several_hosts
from deploy.release.participant import Participant
from fl_app.contract import NVFLARE_VERSION


def install_text(participant: Participant) -> str:
    """Return the content of INSTALL.md."""
    return _template().render(
        participant=participant,
        project=participant.project,
        deployment=participant.deployment,
        nvflare=NVFLARE_VERSION,
        image=participant.image,
        has_compose=is_for_several_hosts(participant.project),
        address=participant.server_address,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("deploy.release"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown with names that `load_project` has validated
    )
    return environment.get_template("INSTALL.md.j2")

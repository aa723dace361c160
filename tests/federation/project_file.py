"""The project.yml of a federation under test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from deploy.ports import free_ports
from deploy.project import Image

SERVER = "flare-server"
ADMIN = "admin@example.org"

_SITE = "  - {{name: {name}, type: client, org: clinics}}"
_PROJECT = """\
api_version: 3
name: {name}
description: a federation under test
participants:
  - {{name: flare-server, type: server, org: clinics, fed_learn_port: {port}, default_host: {host}}}
{sites}
  - {{name: admin@example.org, type: admin, org: clinics, role: {role}}}
builders:
  - path: nvflare.lighter.impl.workspace.WorkspaceBuilder
  - path: nvflare.lighter.impl.static_file.StaticFileBuilder
    args: {{config_folder: config, scheme: {scheme}}}
  - path: nvflare.lighter.impl.cert.CertBuilder
{builders}"""
_BUILDER = "  - path: nvflare.lighter.impl.{name}\n"


def write_project(
    folder: Path,
    *,
    sites: int,
    name: str = "clinics",
    port: int | None = None,
    scheme: str = "http",
    image: Image | None = None,
    launcher: str = "process",
    extras: Sequence[str] = (),
    role: str = "project_admin",
    builders: Sequence[str] = (),
    **deployment: object,
) -> Path:
    """Write project.yml of a server and some sites.

    Args:
        folder: folder of project.yml.
        sites: number of sites.
        name: name of the project.
        port: federation port (default: a free port).
        scheme: driver of NVFlare.
        image: image for a cluster, where each participant has a namespace. None for this machine.
        launcher: process or pod, in a cluster.
        extras: extras of images on this machine.
        role: role of the administrator.
        builders: further builders of NVFlare, relative to its package of builders.
        deployment: further keys of `deployment`.
    """
    file = folder / "project.yml"
    names = [SERVER, *(f"site-{n}" for n in range(1, sites + 1))]
    deployment = _deployment(name, image, names, launcher, extras) | deployment
    file.write_text(
        (f"deployment: {json.dumps(deployment)}\n" if deployment else "")
        + _PROJECT.format(
            name=name,
            port=port or free_ports(1)[0],
            host=f"{SERVER}.{name}-{SERVER}.svc" if image else "localhost",
            scheme=scheme,
            role=role,
            builders="".join(_BUILDER.format(name=name) for name in builders),
            sites="\n".join(_SITE.format(name=site) for site in names[1:]),
        ),
        encoding="utf-8",
    )
    return file


def _deployment(
    project: str, image: Image | None, names: list[str], launcher: str, extras: Sequence[str]
) -> dict[str, object]:
    """Return the deployment in a cluster if there is an image, else on this machine."""
    if image is None:
        variant = "gpu" if "vla" in extras else "cpu"
        return {"image": {"variant": variant, "extras": list(extras)}} if extras else {}
    return {
        "image": image.model_dump(),
        "defaults": {"storage": "1Gi", "launcher": launcher},
        "sites": {name: {"namespace": f"{project}-{name}"} for name in names},
    }

"""Compose files: one for a federation on this machine, one for each host of a federation of several."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.project.quantities import amount
from fl_app.contract import (
    CONTAINER_UID,
    ENV_SERVER_ADDRESS,
    ENV_TRACKING,
    KEY_PATH,
    LABEL_ROLE,
    LABEL_SITE,
    SERVER_SETTINGS,
    WORKSPACE_PATH,
)

if TYPE_CHECKING:
    from jinja2 import Environment

    from deploy.project import Project, SiteDeployment

LABEL_PROJECT = "flare/project"
LABEL_WORKSPACE = "flare/workspace"
"""The folder from which a federation was started: two of one name must not mix."""

MEMORY = "8Gi"
"""Of a container whose `resources` name no limit."""
PIDS = 4096
"""Threads and processes of a container: a parent takes one or two a site, a training process some dozens."""
TMP_SIZE = "1g"
SHM_SIZE = "1g"
GRACE_SECONDS = 30
HEALTH_INTERVAL_SECONDS = 5


@dataclass(frozen=True)
class Parent:
    """A server or site as a service of a compose file."""

    name: str
    role: str
    """server or client."""
    image: str
    deployment: SiteDeployment
    labels: Mapping[str, str]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """None: that of whoever starts the containers, so that no credential is written down."""
    ports: Sequence[str] = ()
    key_volume: str = ""
    """The volume that holds its private key; none where the key is a file."""

    @property
    def gpus(self) -> int:
        """How many GPUs are reserved for it."""
        return self.deployment.gpus

    @property
    def limits(self) -> Mapping[str, str | int]:
        """Compose's `deploy.resources.limits`."""
        wanted = self.deployment.resources.get("limits", {})
        limits: dict[str, str | int] = {"memory": _bytes(wanted.get("memory", MEMORY)), "pids": PIDS}
        if "cpu" in wanted:
            limits["cpus"] = format(_quantity(wanted["cpu"]).normalize(), "f")
        return limits


def federation_file(
    project: Project,
    *,
    images: Mapping[str, str],
    key_volumes: Mapping[str, str],
    workspace: Path,
    gpus: int | None = None,
) -> str:
    """The compose file of the whole federation on one machine.

    Args:
        project: what project.yml says.
        images: the image of the server and of each site.
        key_volumes: the volume that holds the private key of each.
        workspace: the federation's folder, which its containers name in a label.
        gpus: so many for each site, whatever project.yml says.
    """
    labels = {LABEL_PROJECT: project.name, LABEL_WORKSPACE: str(workspace)}
    server = project.server
    parents = [
        Parent(
            name=server.name,
            role="server",
            image=images[server.name],
            deployment=server.deployment,
            labels=labels | {LABEL_SITE: server.name, LABEL_ROLE: "server"},
            environment=server_variables(os.environ),
            ports=published_ports(project),
            key_volume=key_volumes[server.name],
        )
    ]
    for site in project.sites:
        wanted = site.deployment if gpus is None else site.deployment.model_copy(update={"gpus": gpus})
        parents.append(
            Parent(
                name=site.name,
                role="client",
                image=images[site.name],
                deployment=wanted,
                labels=labels | {LABEL_SITE: site.name, LABEL_ROLE: "client"},
                environment={ENV_SERVER_ADDRESS: f"{server.name}:{server.fed_learn_port}"},
                key_volume=key_volumes[site.name],
            )
        )
    return _render(
        "federation.yaml.j2",
        project=project.name,
        compose_project=compose_name(project.name),
        labels=labels,
        parents=parents,
    )


def host_file(project: Project, name: str, *, image: str) -> str:
    """The compose file of the server or of one site, for a host of its own: for the folder release/NAME.

    Args:
        project: what project.yml says; its server must be reachable from other hosts.
        name: the server's or the site's.
        image: its image.
    """
    is_server = name == project.server.name
    role = "server" if is_server else "client"
    deployment = project.server.deployment if is_server else _site_deployment(project, name)
    parent = Parent(
        name=name,
        role=role,
        image=image,
        deployment=deployment,
        labels={LABEL_PROJECT: project.name, LABEL_SITE: name, LABEL_ROLE: role},
        ports=published_ports(project) if is_server else (),
    )
    return _render(
        "host.yaml.j2",
        project=project.name,
        compose_project=compose_name(f"{project.name}-{name}"),
        parent=parent,
        key_file=f"{role}.key",
    )


def server_variables(environment: Mapping[str, str]) -> dict[str, None]:
    """The variables of this environment that are the server's, without their values."""
    own = dict.fromkeys(name for name in SERVER_SETTINGS if environment.get(name))
    return tracking_variables(environment) | own


def tracking_variables(environment: Mapping[str, str]) -> dict[str, None]:
    """The variables by which a server is told of MLflow and W&B, without their values."""
    if not environment.get(ENV_TRACKING):
        return {}
    return dict.fromkeys(
        [ENV_TRACKING, *sorted(name for name in environment if name.startswith(("MLFLOW_", "WANDB_")))]
    )


def is_for_several_hosts(project: Project) -> bool:
    """Whether the name of the server reaches it from other machines too."""
    host = project.server_host
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")


def published_ports(project: Project) -> tuple[str, ...]:
    """The server's ports as Compose publishes them: on loopback alone where the sites look for it there."""
    interface = "" if is_for_several_hosts(project) else "127.0.0.1:"
    ports = dict.fromkeys((project.server.fed_learn_port, project.server.admin_port))
    return tuple(f"{interface}{port}:{port}" for port in ports)


def compose_name(name: str) -> str:
    """What Compose accepts as the name of a project: it is the prefix of every container and volume."""
    return "flare-" + re.sub(r"[^a-z0-9_-]", "-", name.lower())


def _site_deployment(project: Project, name: str) -> SiteDeployment:
    return next(site.deployment for site in project.sites if site.name == name)


def _bytes(quantity: str) -> str:
    """A Kubernetes quantity in bytes: Compose takes 8Gi and 8G for the same, and they are not."""
    return f"{int(_quantity(quantity))}b"


def _quantity(text: str) -> Decimal:
    found = amount(text)
    assert found is not None, text  # `load_project` made sure of it
    return found


def _as_yaml(value: object) -> str:
    """A value as YAML in one line (JSON is YAML); to Compose a single dollar is the start of a variable."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("deploy.release"),
        autoescape=False,  # noqa: S701 - YAML; every text from outside goes through the filter `yaml`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["yaml"] = _as_yaml
    environment.globals |= {
        "uid": CONTAINER_UID,
        "workspace_path": str(WORKSPACE_PATH),
        "key_path": str(KEY_PATH),
        "tmp_size": TMP_SIZE,
        "shm_size": SHM_SIZE,
        "grace_seconds": GRACE_SECONDS,
        "health_interval": HEALTH_INTERVAL_SECONDS,
    }
    return environment


def _render(template: str, **values: object) -> str:
    return _templates().get_template(template).render(values)

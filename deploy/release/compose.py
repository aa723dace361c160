"""Compose files: one for a federation on this machine, and one for each host of a distributed federation."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.hosts import LOOPBACK, is_loopback
from deploy.project.object_names import compose_name, host_compose_name
from deploy.project.quantities import amount
from deploy.project.server_environment import server_environment, site_environment
from deploy.provision.encryption_context import arguments_of
from fl_app.contract import (
    CONTAINER_UID,
    ENV_SERVER_ADDRESS,
    KEY_PATH,
    LABEL_ROLE,
    LABEL_SITE,
    WORKSPACE_PATH,
    context_file,
)

if TYPE_CHECKING:
    from jinja2 import Environment

    from deploy.project import Project, Server, Site, SiteDeployment

LABEL_PROJECT = "flare/project"
LABEL_WORKSPACE = "flare/workspace"
"""The federation's folder. It distinguishes federations with the same name."""

MEMORY = "8Gi"
"""Memory limit of a container if `resources` has none."""
PIDS = 4096
"""Limit of threads and processes: a parent needs one or two per site, a training process some dozens."""
TMP_SIZE = "1g"
SHM_SIZE = "1g"
GRACE_SECONDS = 30
HEALTH_INTERVAL_SECONDS = 5
HEALTH_COMMAND = ("python", "-m", "fl_app.telemetry.probe")
"""Prints `ready` or the reason, in the container of a server or site; exit code 0 or 1."""
CREDENTIALS_FILE = "tracking.env"
"""The server's credentials for trackers, beside the compose file of a host; its operator writes it."""


@dataclass(frozen=True)
class Service:
    """The server or a site as a service of a compose file."""

    name: str
    role: str
    """server or client."""
    image: str
    deployment: SiteDeployment
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    env_file: str = ""
    """File with secret variables, so that the compose file contains none."""
    ports: Sequence[str] = ()
    key_volume: str = ""
    """The volume with its private key; empty if the key is mounted as a file."""
    digest: str = ""
    """The digest of the image in its registry, if it is known. FLARE_IMAGE overrides such an image."""

    @property
    def limits(self) -> Mapping[str, str | int]:
        """Compose's `deploy.resources.limits`."""
        wanted = self.deployment.resources.get("limits", {})
        memory = int(_quantity(wanted.get("memory", MEMORY)))  # in bytes, because Compose reads 8G as 8Gi
        limits: dict[str, str | int] = {"memory": f"{memory}b", "pids": PIDS}
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
    """Return the compose file of the whole federation on one machine.

    Args:
        workspace: the federation's folder, for a label of its containers.
        gpus: GPUs of each site; None: as in project.yml.
    """
    labels = {LABEL_PROJECT: project.name, LABEL_WORKSPACE: str(workspace)}
    server_address = f"{project.server.name}:{project.server.fed_learn_port}"
    services = []
    for parent in project.parents:
        service = _service(
            project,
            parent,
            images[parent.name],
            labels,
            env_file=str(project.credentials_file),
            server_address={ENV_SERVER_ADDRESS: server_address},
        )
        if gpus is not None and parent is not project.server:
            service = replace(service, deployment=parent.deployment.model_copy(update={"gpus": gpus}))
        services.append(replace(service, key_volume=key_volumes[parent.name]))
    return render(
        "federation.yaml.j2",
        project=project.name,
        compose_project=compose_name(project.name),
        labels=labels,
        parents=services,
    )


def host_file(project: Project, name: str, *, image: str, digest: str = "") -> str:
    """Return the compose file of the server or of one site on a host of its own, for release/NAME.

    Args:
        digest: the digest of the image in its registry, if it is known.
    """
    labels = {LABEL_PROJECT: project.name}
    service = _service(project, project.parent(name), image, labels, env_file=f"./{CREDENTIALS_FILE}")
    return render(
        "host.yaml.j2",
        project=project.name,
        compose_project=host_compose_name(project.name, name),
        parent=replace(service, digest=digest),
        key_file=f"{service.role}.key",
        context_file=context_file(service.role) if arguments_of(project) is not None else "",
    )


def _service(
    project: Project,
    parent: Server | Site,
    image: str,
    labels: Mapping[str, str],
    *,
    env_file: str,
    server_address: Mapping[str, str] | None = None,
) -> Service:
    """Return a service; only the server has published ports, settings and, if any, a file of credentials."""
    is_server = parent is project.server
    return Service(
        name=parent.name,
        role=parent.role,
        image=image,
        deployment=parent.deployment,
        labels={**labels, LABEL_SITE: parent.name, LABEL_ROLE: parent.role},
        environment=(
            server_environment(project)
            if is_server
            else {**(server_address or {}), **site_environment(project)}
        ),
        env_file=env_file if is_server and project.credentials_file else "",
        ports=published_ports(project) if is_server else (),
    )


def is_for_several_hosts(project: Project) -> bool:
    """Return whether other machines can reach the server by the host that sites connect to."""
    return not is_loopback(project.server_host)


def published_ports(project: Project) -> tuple[str, ...]:
    """Return the server's ports in Compose's format: on loopback only, if the sites connect to loopback."""
    interface = "" if is_for_several_hosts(project) else f"{LOOPBACK}:"
    ports = dict.fromkeys((project.server.fed_learn_port, project.server.admin_port))
    return tuple(f"{interface}{port}:{port}" for port in ports)


def _quantity(text: str) -> Decimal:
    found = amount(text)
    assert found is not None, text  # load_project validated it
    return found


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("deploy.release"),
        autoescape=False,  # noqa: S701 - YAML and Markdown, not HTML; the filter `yaml` escapes values
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    # A value as one line of YAML, with $ escaped for Compose.
    environment.filters["yaml"] = lambda value: json.dumps(value, ensure_ascii=False).replace("$", "$$")
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode("ascii")
    environment.globals |= {
        "uid": CONTAINER_UID,
        "workspace_path": str(WORKSPACE_PATH),
        "key_path": str(KEY_PATH),
        "tmp_size": TMP_SIZE,
        "shm_size": SHM_SIZE,
        "grace_seconds": GRACE_SECONDS,
        "health_command": list(HEALTH_COMMAND),
        "health_interval": HEALTH_INTERVAL_SECONDS,
    }
    return environment


def render(template: str, **values: object) -> str:
    """Return a rendered template of this package."""
    return _templates().get_template(template).render(values)

"""A federation as the rest of the kit sees it: what `load_project` made sure of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fl_app.contract import kit_version

Launcher = Literal["process", "pod"]
Variant = Literal["cpu", "gpu"]
Extra = Literal["flower", "vla"]
AccessMode = Literal["ro", "rw"]

DEFAULT_STORAGE = "20Gi"
DEFAULT_REGISTRY = "flarefleet"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Dataset(_Frozen):
    """Data of a site: a volume claim in its namespace."""

    claim: str
    mode: AccessMode = "ro"


class SiteDeployment(_Frozen):
    """What a server or a site is made of where it runs; `deployment.defaults` is already in it."""

    gpus: int = 0
    launcher: Launcher = "process"
    storage: str = DEFAULT_STORAGE
    """A Kubernetes quantity, above 0."""
    resources: dict[str, dict[str, str]] = {}
    """`requests` and `limits`, as Kubernetes takes them; every amount as text."""
    namespace: str | None = None
    """None: what its operator chooses at installation."""
    datasets: dict[str, Dataset] = {}


class Image(_Frozen):
    """Where the images are kept, and which."""

    registry: str = DEFAULT_REGISTRY
    """HOST[:PORT]/PATH or PATH, without a trailing slash."""
    tag: str = kit_version().replace("+", "-")
    variant: Variant = "cpu"
    extras: tuple[Extra, ...] = ()
    """What the images hold besides what every job may need."""


class Server(_Frozen):
    """The one server."""

    name: str
    org: str
    fed_learn_port: int
    admin_port: int
    host_names: tuple[str, ...] = ()
    """Further names that its certificate carries."""
    default_host: str | None = None
    """What sites connect to, where it is not the server's name."""
    deployment: SiteDeployment = SiteDeployment()


class Site(_Frozen):
    """A client of the federation, such as one hospital."""

    name: str
    org: str
    deployment: SiteDeployment = SiteDeployment()


class Admin(_Frozen):
    """Somebody who may log in to the server."""

    name: str
    """An e-mail address."""
    org: str
    role: str

    @property
    def may_submit(self) -> bool:
        """Whether NVFlare's default authorization lets this role submit jobs."""
        return self.role in SUBMITTING_ROLES


SUBMITTING_ROLES = ("project_admin", "lead")


class Project(_Frozen):
    """What project.yml says."""

    path: Path
    name: str
    description: str
    api_version: int
    server: Server
    sites: tuple[Site, ...]
    admins: tuple[Admin, ...]
    image: Image
    scheme: str
    """How NVFlare's messages travel: grpc, tcp or http."""
    document: dict[str, Any]
    """The plain parsed YAML, as NVFlare reads it. Copy it before changing it."""

    @property
    def server_host(self) -> str:
        """The host that sites connect to."""
        return self.server.default_host or self.server.name

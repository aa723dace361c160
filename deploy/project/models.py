"""The typed model of project.yml, which all other packages use."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from deploy.errors import InputError
from deploy.project import schema
from deploy.project.fields import Launcher
from deploy.project.participant_schema import AdminEntry, ClientEntry, ServerEntry
from deploy.project.schema import Dataset, Guard, Image, Survival, Tracking

SUBMITTING_ROLES = ("project_admin", "lead")
"""Roles that NVFlare's default authorization allows to submit jobs."""


class SiteDeployment(BaseModel, frozen=True):
    """Deployment settings of a server or site, with `deployment.defaults` applied."""

    gpus: int = 0
    launcher: Launcher = "process"
    storage: str = schema.DEFAULT_STORAGE
    """A Kubernetes quantity, more than 0."""
    resources: dict[str, dict[str, str]] = {}
    """`requests` and `limits` of Kubernetes; every quantity is a text."""
    namespace: str | None = None
    """None: the default namespace, see `deploy.project.object_names`."""
    datasets: dict[str, Dataset] = {}


class Server(BaseModel, frozen=True):
    """The server of the federation."""

    role: ClassVar[str] = "server"
    name: str
    org: str
    fed_learn_port: int
    admin_port: int
    host_names: tuple[str, ...] = ()
    """Further names in its certificate."""
    default_host: str | None = None
    """The host that sites connect to; None: the server's name."""
    deployment: SiteDeployment = SiteDeployment()


class Site(BaseModel, frozen=True):
    """A client of the federation, such as a hospital."""

    role: ClassVar[str] = "client"
    name: str
    org: str
    deployment: SiteDeployment = SiteDeployment()


class Admin(BaseModel, frozen=True):
    """An administrator, who can log in to the server."""

    name: str
    """An e-mail address."""
    org: str
    role: str

    @property
    def may_submit(self) -> bool:
        """Return whether NVFlare's default authorization allows this role to submit jobs."""
        return self.role in SUBMITTING_ROLES


class Project(BaseModel):
    """A validated project.yml. `load_project` makes it."""

    model_config = ConfigDict(frozen=True)

    path: Path
    name: str
    description: str
    api_version: int
    connection_security: str = "mtls"
    custom_ca_cert: str | None = None
    allow_log_streaming: bool = True
    server: Server
    sites: tuple[Site, ...]
    admins: tuple[Admin, ...]
    image: Image
    scheme: str
    """The transport of NVFlare's messages: grpc, tcp or http."""
    tracking: Tracking = Tracking()
    guard: Guard = Guard()
    survival: Survival = Survival()
    logs: str = "private"
    """shared: each site sends its log of a job to the server."""
    allowed_components: tuple[str, ...] = ()
    """`deployment.allowed_components`; see `deploy.project.allowed_components` for the complete list."""
    studies: dict[str, schema.Study] = {}
    participants: tuple[ServerEntry | ClientEntry | AdminEntry, ...] = Field(default=(), exclude=True)
    """Every participant with all of NVFlare's keys, in the order of the file."""
    builders: tuple[schema.BuilderEntry, ...] = Field(default=(), exclude=True)
    """NVFlare's builders of startup kits."""
    _document: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def parents(self) -> tuple[Server | Site, ...]:
        """The server and every site, the server first. Each runs one parent process of NVFlare."""
        return (self.server, *self.sites)

    def parent(self, name: str) -> Server | Site:
        """Return the server or the site with this name.

        Raises:
            InputError: there is none.
        """
        for parent in self.parents:
            if parent.name == name:
                return parent
        names = ", ".join(parent.name for parent in self.parents)
        raise InputError(f"{self.path} has no server or site {name}; available: {names}.")

    @property
    def server_host(self) -> str:
        """The host that sites connect to."""
        return self.server.default_host or self.server.name

    @property
    def credentials_file(self) -> Path | None:
        """The absolute path of `deployment.tracking.credentials`; None if project.yml names no file."""
        written = self.tracking.credentials
        return self.path.absolute().parent / Path(written).expanduser() if written else None

    def nvflare_document(self) -> dict[str, Any]:
        """Return project.yml as NVFlare's provisioner reads it: a copy, which the caller may change."""
        document = copy.deepcopy(self._document)
        document.setdefault("builders", [builder.model_dump(exclude_unset=True) for builder in self.builders])
        return document

    def document_for_port(self, port: int) -> dict[str, Any]:
        """Return project.yml with another port of the server, for a file in another folder."""
        document = self.nvflare_document()
        for participant in document["participants"]:
            if participant["type"] == Server.role:
                participant["fed_learn_port"] = port
                participant.pop("admin_port", None)
        if self.credentials_file:
            document["deployment"]["tracking"]["credentials"] = str(self.credentials_file)
        return document

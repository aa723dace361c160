"""The schema of project.yml: the keys of each section, with their types and defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from deploy.project.fields import (
    OR_EMPTY,
    AccessMode,
    AllowedComponents,
    AnySecurity,
    ApiVersion,
    Arguments,
    Claim,
    Count,
    Days,
    Extras,
    FederationPort,
    Host,
    HostNames,
    Launcher,
    Namespace,
    Org,
    Port,
    PortOrZero,
    ProjectName,
    Registry,
    Role,
    Scheme,
    Seconds,
    Security,
    Storage,
    Tag,
    Texts,
    Trackers,
    Variant,
    text_stands_for,
)
from fl_app.contract import FEDERATION_PORT, flarefleet_version

DEFAULT_STORAGE = "20Gi"
DEFAULT_REGISTRY = "flarefleet"
DEFAULT_TAG = flarefleet_version().replace("+", "-")


class Section(BaseModel):
    """A mapping of project.yml. Its values have the type that YAML gives them; none is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listening(Section):
    """`listening_host`: the address at which a participant listens for an external trainer."""

    scheme: Literal["tcp", "grpc", "http", "atcp", "agrpc"] = "tcp"
    host_names: HostNames = []
    default_host: Host = ""
    port: PortOrZero = 0
    connection_security: AnySecurity = "clear"


class ConnectTo(Section):
    """`connect_to`: another address of the server, such as a proxy."""

    name: str = ""
    host: Annotated[Host, Field(description="the host name at which the participant reaches the server")]
    port: Port = FEDERATION_PORT
    connection_security: AnySecurity = "mtls"
    auth_identity: str = ""


class Capacity(Section):
    """`capacity` of a client: the resources that NVFlare's resource manager assigns to jobs."""

    num_of_gpus: Count = 0
    mem_per_gpu_in_GiB: Count = 0  # noqa: N815 (NVFlare's own key)


class ParticipantEntry(Section):
    """The keys of every participant."""

    name: Annotated[str, Field(description="its name")]
    type: Annotated[str, Field(description="its type: server, client or admin")]
    org: Org
    connection_security: Security = "mtls"


class HostEntry(ParticipantEntry):
    """The keys that the server and the clients have in common."""

    listening_host: Annotated[Listening, text_stands_for("default_host")] = Listening()
    custom_ca_cert: str | None = None
    auth_identity: str = ""
    use_aio: bool = False
    allow_log_streaming: bool = True


class ServerEntry(HostEntry):
    """A participant of type server. With `admin_port` 0 NVFlare uses `fed_learn_port`."""

    fed_learn_port: FederationPort = FEDERATION_PORT
    admin_port: FederationPort = 0
    host_names: HostNames = []
    default_host: Host = ""


_DIRECT = ConnectTo.model_construct(host="")
ConnectToEntry = Annotated[ConnectTo, text_stands_for("host")]


class ClientEntry(HostEntry):
    """A participant of type client."""

    connect_to: ConnectToEntry = _DIRECT
    capacity: Annotated[Capacity, OR_EMPTY] = Capacity()
    parent: str | None = None


class AdminEntry(ParticipantEntry):
    """A participant of type admin."""

    role: Annotated[
        Role, Field(description="the administrator's role: project_admin, org_admin, lead or member")
    ]
    connect_to: ConnectToEntry = _DIRECT


PARTICIPANTS: dict[str, type[ParticipantEntry]] = {
    "server": ServerEntry,
    "client": ClientEntry,
    "admin": AdminEntry,
}


class BuilderEntry(Section):
    """A builder of startup kits: a class and its arguments."""

    path: Annotated[
        str, Field(description="the path of a class, such as nvflare.lighter.impl.cert.CertBuilder")
    ]
    args: Arguments = {}


class StaticFilesArguments(Section):
    """The arguments of NVFlare's StaticFileBuilder."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    scheme: Scheme = "http"
    config_folder: str | None = None
    app_validator: str | None = None
    download_job_url: str | None = None
    docker_image: str | None = None
    require_signed_jobs: bool | None = None


class CertArguments(Section):
    """The argument of NVFlare's CertBuilder."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    root_valid_days: Annotated[int, Field(ge=1)] = 360


class Study(Section):
    """A study: the sites and administrators that take part in it (api_version 4)."""

    site_orgs: Annotated[dict[str, list[str]], OR_EMPTY] = {}
    admins: Annotated[list[str], BeforeValidator(lambda value: [] if value is None else value)] = []


class Dataset(Section):
    """A dataset of a site: a volume claim in the site's namespace."""

    claim: Claim
    mode: AccessMode = "ro"


class ResourcesEntry(Section):
    """The resources that Kubernetes reserves for a site, and their limits."""

    requests: Texts = {}
    limits: Texts = {}


class DefaultsEntry(Section):
    """`deployment.defaults`: settings of the server and of every site that does not override them."""

    gpus: Count = 0
    launcher: Launcher = "process"
    storage: Storage = DEFAULT_STORAGE
    resources: Annotated[ResourcesEntry, OR_EMPTY] = ResourcesEntry()
    datasets: Annotated[dict[str, Dataset], OR_EMPTY] = {}


class SiteEntry(DefaultsEntry):
    """`deployment.sites.NAME`: settings of one site, or of the server."""

    namespace: Namespace = ""


class ImageEntry(Section):
    """`deployment.image`."""

    registry: Registry = DEFAULT_REGISTRY
    tag: Tag = DEFAULT_TAG
    variant: Variant = "cpu"
    extras: Extras = []


class Tracking(Section):
    """`deployment.tracking`: trackers that receive every logged value, and retention of event files."""

    receivers: Trackers = []
    """Trackers to which the server forwards what jobs log."""
    environment: Texts = {}
    """Public MLFLOW_* and WANDB_* variables of the server."""
    credentials: str = ""
    """File of NAME=VALUE lines with secret MLFLOW_* and WANDB_* variables; relative to project.yml."""
    keep_days: Days | None = None
    """Days for which event files stay after the last value of a finished job; None: until it is deleted."""


class Guard(Section):
    """`deployment.guard`: time limits for jobs. None: the server's own default."""

    site_patience_seconds: Seconds | None = None
    """Seconds for which a submitted job waits for sites that are not registered."""
    task_timeout_seconds: Seconds | None = None
    """Seconds within which a site with a task must return a result or log something; 0: no limit."""


class DeploymentEntry(Section):
    """`deployment`: Flarefleet's own top-level key, which NVFlare ignores."""

    image: Annotated[ImageEntry, OR_EMPTY] = ImageEntry()
    defaults: Annotated[DefaultsEntry, OR_EMPTY] = DefaultsEntry()
    sites: Annotated[dict[str, Annotated[SiteEntry, OR_EMPTY]], OR_EMPTY] = {}
    tracking: Annotated[Tracking, OR_EMPTY] = Tracking()
    guard: Annotated[Guard, OR_EMPTY] = Guard()
    allowed_components: AllowedComponents = []
    """Classes and packages that jobs without code of their own may use, besides the default ones."""


class ProjectEntry(Section):
    """The top level of project.yml. Each participant is parsed separately, by its type."""

    api_version: Annotated[ApiVersion, Field(description="api_version: 3")]
    name: Annotated[ProjectName, Field(description="a name for the federation")]
    description: str | None = None
    connection_security: Security = "mtls"
    custom_ca_cert: str | None = None
    allow_log_streaming: bool = True
    participants: Annotated[list[Any], Field(description="one server, the clients and the administrators")]
    builders: Annotated[
        list[BuilderEntry], Field(description="NVFlare's builders, as `nvflare provision -g` writes them")
    ]
    studies: Annotated[dict[str, Annotated[Study, OR_EMPTY]], OR_EMPTY] = {}
    deployment: Annotated[DeploymentEntry, OR_EMPTY] = DeploymentEntry()

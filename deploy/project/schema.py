"""How project.yml looks: the keys of each of its parts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from deploy.project.fields import (
    OR_EMPTY,
    Amounts,
    AnySecurity,
    ApiVersion,
    Arguments,
    Claim,
    Count,
    Extras,
    FederationPort,
    Host,
    HostNames,
    Namespace,
    Org,
    Port,
    PortOrAny,
    ProjectName,
    Registry,
    Scheme,
    Security,
    Storage,
    Tag,
    text_stands_for,
)
from deploy.project.models import DEFAULT_STORAGE, AccessMode, Image, Launcher, Variant
from fl_app.contract import FEDERATION_PORT

Role = Literal["project_admin", "org_admin", "lead", "member"]


class Section(BaseModel):
    """A mapping of project.yml. Nothing is converted: YAML has types of its own."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listening(Section):
    """`listening_host`: where a participant listens for a trainer of a third party."""

    scheme: Literal["tcp", "grpc", "http", "atcp", "agrpc"] = "tcp"
    host_names: HostNames = []
    default_host: Host = ""
    port: PortOrAny = 0
    connection_security: AnySecurity = "clear"


class ConnectTo(Section):
    """`connect_to`: another way to the server."""

    name: str = ""
    host: Annotated[Host, Field(description="the host name under which the server is reached")]
    port: Port = FEDERATION_PORT
    connection_security: AnySecurity = "mtls"
    auth_identity: str = ""


class Capacity(Section):
    """`capacity` of a client, as NVFlare's resource manager counts it."""

    num_of_gpus: Count = 0
    mem_per_gpu_in_GiB: Count = 0  # noqa: N815 (NVFlare's own key)


class ParticipantEntry(Section):
    """What every participant has."""

    name: Annotated[str, Field(description="its name")]
    type: Annotated[str, Field(description="what it is: server, client or admin")]
    org: Org
    connection_security: Security = "mtls"


class HostEntry(ParticipantEntry):
    """What the server and the clients have in common."""

    listening_host: Annotated[Listening, text_stands_for("default_host")] = Listening()
    custom_ca_cert: str | None = None
    auth_identity: str = ""
    use_aio: bool = False
    allow_log_streaming: bool = True


class ServerEntry(HostEntry):
    """A participant of type server. `admin_port` 0: the same as `fed_learn_port`, as NVFlare has it."""

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
        Role, Field(description="what the person may do: project_admin, org_admin, lead or member")
    ]
    connect_to: ConnectToEntry = _DIRECT


PARTICIPANTS: dict[str, type[ParticipantEntry]] = {
    "server": ServerEntry,
    "client": ClientEntry,
    "admin": AdminEntry,
}


class BuilderEntry(Section):
    """A builder: a class and its arguments."""

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


class StudyEntry(Section):
    """A study: which sites and administrators take part (api_version 4)."""

    site_orgs: Annotated[dict[str, list[str]], OR_EMPTY] = {}
    admins: Annotated[list[str], BeforeValidator(lambda value: [] if value is None else value)] = []


class DatasetEntry(Section):
    """Data of a site."""

    claim: Claim
    mode: AccessMode = "ro"


class ResourcesEntry(Section):
    """What Kubernetes keeps for a site, and what it may take at most."""

    requests: Amounts = {}
    limits: Amounts = {}


class DefaultsEntry(Section):
    """What holds for the server and every site that says nothing else."""

    gpus: Count = 0
    launcher: Launcher = "process"
    storage: Storage = DEFAULT_STORAGE
    resources: Annotated[ResourcesEntry, OR_EMPTY] = ResourcesEntry()
    datasets: Annotated[dict[str, DatasetEntry], OR_EMPTY] = {}


class SiteEntry(DefaultsEntry):
    """What holds for one site, or for the server."""

    namespace: Namespace = ""


class ImageEntry(Section):
    """The images."""

    registry: Registry = Image().registry
    tag: Tag = Image().tag
    variant: Variant = "cpu"
    extras: Extras = []


class DeploymentEntry(Section):
    """Flarefleet's own key, which NVFlare ignores."""

    image: Annotated[ImageEntry, OR_EMPTY] = ImageEntry()
    defaults: Annotated[DefaultsEntry, OR_EMPTY] = DefaultsEntry()
    sites: Annotated[dict[str, Annotated[SiteEntry, OR_EMPTY]], OR_EMPTY] = {}


class ProjectEntry(Section):
    """The top of project.yml. Participants differ by their type, so each is read on its own."""

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
    studies: Annotated[dict[str, Annotated[StudyEntry, OR_EMPTY]], OR_EMPTY] = {}
    deployment: Annotated[DeploymentEntry, OR_EMPTY] = DeploymentEntry()

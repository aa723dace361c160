"""The schema of project.yml: the keys of each section, with their types and defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from deploy.project import fields
from fl_app.contract import FEDERATION_PORT, flarefleet_version
from fl_app.guard.rule_table import RULE_NAMES

DEFAULT_STORAGE = "20Gi"
DEFAULT_REGISTRY = "flarefleet"
DEFAULT_TAG = flarefleet_version().replace("+", "-")


class Section(BaseModel):
    """A mapping of project.yml. Its values have the type that YAML gives them; none is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listening(Section):
    """`listening_host`: the address at which a participant listens for an external trainer."""

    scheme: Literal["tcp", "grpc", "http", "atcp", "agrpc"] = "tcp"
    host_names: fields.HostNames = []
    default_host: fields.Host = ""
    port: fields.PortOrZero = 0
    connection_security: fields.AnySecurity = "clear"


class ConnectTo(Section):
    """`connect_to`: another address of the server, such as a proxy."""

    name: str = ""
    host: Annotated[
        fields.Host, Field(description="the host name at which the participant reaches the server")
    ]
    port: fields.Port = FEDERATION_PORT
    connection_security: fields.AnySecurity = "mtls"
    auth_identity: str = ""


class Capacity(Section):
    """`capacity` of a client: the resources that NVFlare's resource manager assigns to jobs."""

    num_of_gpus: fields.Count = 0
    mem_per_gpu_in_GiB: fields.Count = 0  # noqa: N815 (NVFlare's own key)


class ParticipantEntry(Section):
    """The keys of every participant."""

    name: Annotated[str, Field(description="its name")]
    type: Annotated[str, Field(description="its type: server, client or admin")]
    org: fields.Org
    connection_security: fields.Security = "mtls"


class HostEntry(ParticipantEntry):
    """The keys that the server and the clients have in common."""

    listening_host: Annotated[Listening, fields.text_stands_for("default_host")] = Listening()
    custom_ca_cert: str | None = None
    auth_identity: str = ""
    use_aio: bool = False
    allow_log_streaming: bool = True


class ServerEntry(HostEntry):
    """A participant of type server. With `admin_port` 0 NVFlare uses `fed_learn_port`."""

    fed_learn_port: fields.FederationPort = FEDERATION_PORT
    admin_port: fields.FederationPort = 0
    host_names: fields.HostNames = []
    default_host: fields.Host = ""


_DIRECT = ConnectTo.model_construct(host="")
ConnectToEntry = Annotated[ConnectTo, fields.text_stands_for("host")]


class ClientEntry(HostEntry):
    """A participant of type client."""

    connect_to: ConnectToEntry = _DIRECT
    capacity: Annotated[Capacity, fields.OR_EMPTY] = Capacity()
    parent: str | None = None


class AdminEntry(ParticipantEntry):
    """A participant of type admin."""

    role: Annotated[
        fields.Role, Field(description="the administrator's role: project_admin, org_admin, lead or member")
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
    args: fields.Arguments = {}


_IMPL = "nvflare.lighter.impl"
DEFAULT_BUILDERS = (
    BuilderEntry(path=f"{_IMPL}.workspace.WorkspaceBuilder", args={"template_file": ["master_template.yml"]}),
    BuilderEntry(path=f"{_IMPL}.static_file.StaticFileBuilder", args={"config_folder": "config"}),
    # The validity of the CA limits that of every certificate; NVFlare's default is 360 days.
    BuilderEntry(path=f"{_IMPL}.cert.CertBuilder", args={"root_valid_days": 3650}),
    BuilderEntry(path=f"{_IMPL}.signature.SignatureBuilder"),
)
"""The builders if project.yml has none."""


class StaticFilesArguments(Section):
    """The arguments of NVFlare's StaticFileBuilder."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    scheme: fields.Scheme = "http"
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

    site_orgs: Annotated[dict[str, list[str]], fields.OR_EMPTY] = {}
    admins: Annotated[list[str], BeforeValidator(lambda value: [] if value is None else value)] = []


class Dataset(Section):
    """A dataset of a site: a volume claim in the site's namespace."""

    claim: fields.Claim
    mode: fields.AccessMode = "ro"


class ResourcesEntry(Section):
    """The resources that Kubernetes reserves for a site, and their limits."""

    requests: fields.Texts = {}
    limits: fields.Texts = {}


class DefaultsEntry(Section):
    """`deployment.defaults`: settings of the server and of every site that does not override them."""

    gpus: fields.Count = 0
    launcher: fields.Launcher = "process"
    storage: fields.Storage = DEFAULT_STORAGE
    resources: Annotated[ResourcesEntry, fields.OR_EMPTY] = ResourcesEntry()
    datasets: Annotated[dict[str, Dataset], fields.OR_EMPTY] = {}


class SiteEntry(DefaultsEntry):
    """`deployment.sites.NAME`: settings of one site, or of the server."""

    namespace: fields.Namespace = ""


class Image(Section):
    """`deployment.image`: registry, tag and content of the images."""

    registry: fields.Registry = DEFAULT_REGISTRY
    """HOST[:PORT]/PATH or PATH, without a trailing slash."""
    tag: fields.Tag = DEFAULT_TAG
    variant: fields.Variant = "cpu"
    extras: fields.Extras = []
    """Optional packages that the images contain."""

    @property
    def registry_is_given(self) -> bool:
        """Return whether project.yml names a registry."""
        return "registry" in self.model_fields_set


class Tracking(Section):
    """`deployment.tracking`: trackers that receive every logged value, and retention of event files."""

    receivers: fields.Trackers = []
    """Trackers to which the server forwards what jobs log."""
    environment: fields.Texts = {}
    """Public MLFLOW_* and WANDB_* variables of the server."""
    credentials: str = ""
    """File of NAME=VALUE lines with secret MLFLOW_* and WANDB_* variables; relative to project.yml."""
    keep_days: fields.Days | None = None
    """Days for which event files stay after the last value of a finished job; None: until it is deleted."""


_RULES: dict[str, Any] = dict.fromkeys(RULE_NAMES, (fields.RuleLevel | None, None))
_RuleLevels = create_model("_RuleLevels", __base__=Section, **_RULES)


class Guard(_RuleLevels):  # type: ignore[misc, valid-type]
    """`deployment.guard`: time limits for jobs, and the level of each rule. None: the default.

    The rules are those of `fl_app.guard.rule_table`.
    """

    site_patience_seconds: fields.Seconds | None = None
    """Seconds for which a submitted job waits for sites that are not registered."""
    task_timeout_seconds: fields.Seconds | None = None
    """Seconds within which a site with a task must return a result or log something; 0: no limit."""

    @property
    def levels(self) -> dict[str, str]:
        """The levels that project.yml sets, by the names of rules."""
        return {name: level for name in RULE_NAMES if (level := getattr(self, name)) is not None}


class Survival(Section):
    """`deployment.survival`: whether running jobs survive killed processes, and sites that are away."""

    enabled: bool = True
    """False: a job ends as in NVFlare."""
    site_wait_seconds: fields.Seconds | None = None
    """Seconds for which a running job waits for a site that gives no sign of life. None: one day."""


class DeploymentEntry(Section):
    """`deployment`: Flarefleet's own top-level key, which NVFlare ignores."""

    image: Annotated[Image, fields.OR_EMPTY] = Image()
    defaults: Annotated[DefaultsEntry, fields.OR_EMPTY] = DefaultsEntry()
    sites: Annotated[dict[str, Annotated[SiteEntry, fields.OR_EMPTY]], fields.OR_EMPTY] = {}
    tracking: Annotated[Tracking, fields.OR_EMPTY] = Tracking()
    guard: Annotated[Guard, fields.OR_EMPTY] = Guard()
    survival: Annotated[Survival, fields.OR_EMPTY] = Survival()
    allowed_components: fields.AllowedComponents = []
    """Classes and packages that jobs without code of their own may use, besides the default ones."""


class ProjectEntry(Section):
    """The top level of project.yml. Each participant is parsed separately, by its type."""

    api_version: Annotated[fields.ApiVersion, Field(description="api_version: 3")]
    name: Annotated[fields.ProjectName, Field(description="a name for the federation")]
    description: str | None = None
    connection_security: fields.Security = "mtls"
    custom_ca_cert: str | None = None
    allow_log_streaming: bool = True
    participants: Annotated[list[Any], Field(description="one server, the clients and the administrators")]
    builders: list[BuilderEntry] = list(DEFAULT_BUILDERS)
    studies: Annotated[dict[str, Annotated[Study, fields.OR_EMPTY]], fields.OR_EMPTY] = {}
    deployment: Annotated[DeploymentEntry, fields.OR_EMPTY] = DeploymentEntry()

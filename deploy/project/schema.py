"""The schema of project.yml: the keys of each section, with their types and defaults.

The text below a key explains it in docs/project-yml.md and in the JSON schema (`make docs`). The description
of a required key completes the message "missing; write ...".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, create_model

from deploy.project import fields
from deploy.project.participant_schema import Section
from fl_app.contract import flarefleet_version
from fl_app.guard.rule_table import RULE_NAMES

DEFAULT_STORAGE = "20Gi"
DEFAULT_REGISTRY = "flarefleet"
DEFAULT_TAG = flarefleet_version().replace("+", "-")


class BuilderEntry(Section):
    """A builder of startup kits: a class and its arguments."""

    path: Annotated[
        str, Field(description="the path of a class, such as nvflare.lighter.impl.cert.CertBuilder")
    ]
    """Path of the class, on Python's path or beside project.yml."""
    args: fields.Arguments = {}
    """Arguments of the class."""


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
    """Transport of all messages, each with mutual TLS."""
    config_folder: str | None = None
    """Folder of the configuration inside a job; Flarefleet writes config."""
    app_validator: str | None = None
    """Class that checks a job before it is deployed."""
    download_job_url: str | None = None
    """Address for the download of large results."""
    docker_image: str | None = None
    """Image in NVFlare's own docker.sh, which Flarefleet does not use."""
    require_signed_jobs: bool | None = None
    """Whether sites reject jobs that the submitting administrator did not sign."""


class CertArguments(Section):
    """The argument of NVFlare's CertBuilder."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    root_valid_days: Annotated[int, Field(ge=1)] = 360
    """Days for which the certificate authority is valid, which limits every certificate."""


class EncryptionArguments(Section):
    """The arguments of NVFlare's HEBuilder."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    poly_modulus_degree: Annotated[int, Field(ge=1)] = 8192
    """Number of values that one ciphertext holds, times two: a power of two."""
    coeff_mod_bit_sizes: list[Annotated[int, Field(ge=1)]] | None = None
    """Bits of each prime of the coefficient modulus; NVFlare's default is [60, 40, 40]."""
    scale_bits: Annotated[int, Field(ge=1)] = 40
    """Bits of the scale of encrypted values, which limit their precision."""
    scheme: Literal["CKKS"] = "CKKS"
    """The only scheme that NVFlare's filters and aggregators use."""

    def with_defaults(self) -> dict[str, Any]:
        """Return every argument. An empty list is NVFlare's default, as in HEBuilder."""
        return {
            **self.model_dump(),
            "coeff_mod_bit_sizes": self.coeff_mod_bit_sizes or [60, 40, 40],
        }


class Study(Section):
    """A study: the sites and administrators that take part in it (api_version 4)."""

    site_orgs: Annotated[dict[str, list[str]], fields.OR_EMPTY] = {}
    """Sites that take part, by organization."""
    admins: Annotated[list[str], BeforeValidator(lambda value: [] if value is None else value)] = []
    """Administrators who may work in the study."""


class Dataset(Section):
    """A dataset of a site: a volume claim in the site's namespace."""

    claim: fields.Claim
    """Existing PersistentVolumeClaim in the site's namespace. Jobs find it in /data/NAME."""
    mode: fields.AccessMode = "ro"
    """Whether jobs may write."""


class ResourcesEntry(Section):
    """The resources that Kubernetes reserves for a site, and their limits."""

    requests: Annotated[fields.Texts, fields.KUBERNETES] = {}
    """Quantities that the node reserves, such as cpu: 500m and memory: 1Gi."""
    limits: Annotated[fields.Texts, fields.CONTAINERS] = {}
    """Highest quantities; a process that needs more memory is killed."""


class DefaultsEntry(Section):
    """`deployment.defaults`: settings of the server and of every site that does not override them."""

    gpus: Annotated[fields.Count, fields.CONTAINERS] = 0
    """Number of GPUs; requires images of variant gpu."""
    launcher: Annotated[fields.Launcher, fields.KUBERNETES] = "process"
    """Whether a job runs as processes in the site's pod, or as a pod of its own."""
    storage: Annotated[fields.Storage, fields.KUBERNETES] = DEFAULT_STORAGE
    """Size of the volume for job results, logs and checkpoints."""
    resources: Annotated[ResourcesEntry, fields.OR_EMPTY, fields.CONTAINERS] = ResourcesEntry()
    """CPU and memory."""
    datasets: Annotated[dict[str, Dataset], fields.OR_EMPTY, fields.KUBERNETES] = {}
    """Volumes with data, by name. Those of the defaults and of the site are merged."""


class SiteEntry(DefaultsEntry):
    """`deployment.sites.NAME`: settings of one site, or of the server."""

    namespace: Annotated[fields.Namespace, fields.KUBERNETES] = ""
    """Kubernetes namespace; empty: the name of the Helm release."""


class Image(Section):
    """`deployment.image`: registry, tag and content of the images."""

    registry: Annotated[fields.Registry, fields.CONTAINERS] = DEFAULT_REGISTRY
    """HOST[:PORT]/PATH or PATH, without a trailing slash."""
    tag: Annotated[fields.Tag, fields.CONTAINERS] = DEFAULT_TAG
    """Tag of all images. Quote a tag such as "1.0", which YAML reads as a number."""
    variant: Annotated[fields.Variant, fields.CONTAINERS] = "cpu"
    """gpu: torch with CUDA, which is much larger and also runs without a GPU."""
    extras: Annotated[fields.Extras, fields.CONTAINERS] = []
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
    """Days for which the event files of a finished job stay. Default: until the job is deleted."""


# docs/project-yml.md explains these keys with the text of the rule table.
_RULES: dict[str, Any] = dict.fromkeys(RULE_NAMES, (fields.RuleLevel | None, None))
_RuleLevels = create_model("_RuleLevels", __base__=Section, **_RULES)


class Guard(_RuleLevels):  # type: ignore[misc, valid-type]
    """`deployment.guard`: time limits for jobs, and the level of each rule. None: the default.

    The rules are those of `fl_app.guard.rule_table`.
    """

    site_patience_seconds: fields.Seconds | None = None
    """Seconds for which a submitted job waits for sites that are not registered. Default: 3600."""
    task_timeout_seconds: fields.Seconds | None = None
    """Seconds in which a site with a task must return or log something. Default: 86400; 0: no limit."""

    @property
    def levels(self) -> dict[str, str]:
        """The levels that project.yml sets, by the names of rules."""
        return {name: level for name in RULE_NAMES if (level := getattr(self, name)) is not None}


class Survival(Section):
    """`deployment.survival`: whether running jobs survive killed processes, and sites that are away."""

    enabled: bool = True
    """false: a job ends as in NVFlare."""
    site_wait_seconds: fields.Seconds | None = None
    """Seconds for which a running job waits for a site that gives no sign of life. Default: 86400."""


class DeploymentEntry(Section):
    """`deployment`: Flarefleet's own top-level key, which NVFlare ignores."""

    image: Annotated[Image, fields.OR_EMPTY, fields.CONTAINERS] = Image()
    """Registry, tag and content of the images."""
    defaults: Annotated[DefaultsEntry, fields.OR_EMPTY, fields.CONTAINERS] = DefaultsEntry()
    """Settings of the server and of every site."""
    sites: Annotated[
        dict[str, Annotated[SiteEntry, fields.OR_EMPTY]], fields.OR_EMPTY, fields.CONTAINERS
    ] = {}
    """Settings of one site, or of the server, by its name. They override the defaults."""
    tracking: Annotated[Tracking, fields.OR_EMPTY] = Tracking()
    """Trackers, and retention of what jobs log."""
    guard: Annotated[Guard, fields.OR_EMPTY] = Guard()
    """Time limits of jobs, and levels of the rules that find silent failures."""
    survival: Annotated[Survival, fields.OR_EMPTY] = Survival()
    """Whether running jobs survive killed processes."""
    logs: fields.Logs = "private"
    """shared: each site sends its log of a job to the server, where the job's submitter reads it."""
    allowed_components: fields.AllowedComponents = []
    """Classes and packages that jobs without code of their own may use, besides the default ones."""


class ProjectEntry(Section):
    """The top level of project.yml. Each participant is parsed separately, by its type."""

    api_version: Annotated[fields.ApiVersion, Field(description="api_version: 3")]
    """Version of NVFlare's format: 3, or 4 for a file with studies."""
    name: Annotated[fields.ProjectName, Field(description="a name for the federation")]
    """Name of the federation: its folder in the workspace, and a label of its objects."""
    description: str | None = None
    """Text for readers."""
    connection_security: fields.Security = "mtls"
    """Default of the participants' connection_security."""
    custom_ca_cert: str | None = None
    """Default of the participants' custom_ca_cert."""
    allow_log_streaming: bool = True
    """Default of the participants' allow_log_streaming."""
    participants: Annotated[list[Any], Field(description="one server, the clients and the administrators")]
    """One server, the clients (sites), and the administrators."""
    builders: list[BuilderEntry] = list(DEFAULT_BUILDERS)
    """NVFlare's builders of startup kits, in order."""
    studies: Annotated[dict[str, Annotated[Study, fields.OR_EMPTY]], fields.OR_EMPTY] = {}
    """Studies, by name: the sites and administrators that take part (api_version 4)."""
    deployment: Annotated[DeploymentEntry, fields.OR_EMPTY] = DeploymentEntry()
    """Flarefleet's own settings, which NVFlare ignores."""

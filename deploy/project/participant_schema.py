"""The schema of participants in project.yml: the keys of each type, with their types and defaults.

See `deploy.project.schema` for the texts below the keys.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deploy.project import fields
from fl_app.contract import FEDERATION_PORT


class Section(BaseModel):
    """A mapping of project.yml. Its values have the type that YAML gives them; none is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listening(Section):
    """`listening_host`: the address at which a participant listens for an external trainer."""

    scheme: Literal["tcp", "grpc", "http", "atcp", "agrpc"] = "tcp"
    """Transport of the messages."""
    host_names: fields.HostNames = []
    """Further names in the participant's certificate."""
    default_host: fields.Host = ""
    """Host name that the trainer connects to."""
    port: fields.PortOrZero = 0
    """Port; 0: NVFlare chooses one."""
    connection_security: fields.AnySecurity = "clear"
    """Encryption and authentication of these connections."""


class ConnectTo(Section):
    """`connect_to`: another address of the server, such as a proxy."""

    name: str = ""
    """Name of the server."""
    host: Annotated[
        fields.Host, Field(description="the host name at which the participant reaches the server")
    ]
    """Host that the participant connects to. A text in place of this section is the host."""
    port: fields.Port = FEDERATION_PORT
    """Port that the participant connects to."""
    connection_security: fields.AnySecurity = "mtls"
    """Encryption and authentication of this connection."""
    auth_identity: str = ""
    """Name in the certificate of this host, if it is not the server's name."""


class Capacity(Section):
    """`capacity` of a client: the resources that NVFlare's resource manager assigns to jobs."""

    num_of_gpus: fields.Count = 0
    """Number of GPUs that jobs can request from the resource manager."""
    mem_per_gpu_in_GiB: fields.Count = 0  # noqa: N815 (NVFlare's own key)
    """Memory of each GPU in GiB."""


class ParticipantEntry(Section):
    """The keys of every participant."""

    name: Annotated[str, Field(description="its name")]
    """Name in the certificate. A site's is its Helm release, too; an administrator's is an e-mail address."""
    type: Annotated[str, Field(description="its type: server, client or admin")]
    """What the participant is."""
    org: fields.Org
    """Organization: letters, digits and _. An org_admin operates the sites of the same organization."""
    connection_security: fields.Security = "mtls"
    """mtls: both sides authenticate; tls: only the server does."""


class HostEntry(ParticipantEntry):
    """The keys that the server and the clients have in common."""

    listening_host: Annotated[Listening, fields.text_stands_for("default_host")] = Listening()
    """Address for an external trainer. A text in place of this section is the default_host."""
    custom_ca_cert: str | None = None
    """File with the certificate of a proxy's authority, which the kit then contains."""
    auth_identity: str = ""
    """Name in the certificate, if it is not the participant's name."""
    use_aio: bool = False
    """Whether NVFlare uses asyncio for its connections."""
    allow_log_streaming: bool = True
    """Whether the participant sends the logs of its jobs to the server."""


class ServerEntry(HostEntry):
    """A participant of type server. With `admin_port` 0 NVFlare uses `fed_learn_port`."""

    fed_learn_port: fields.FederationPort = FEDERATION_PORT
    """Port that sites and administrators connect to: the only one that must be open."""
    admin_port: fields.FederationPort = 0
    """Another port for administrators; 0: the same port."""
    host_names: fields.HostNames = []
    """Further names and addresses in the server's certificate."""
    default_host: fields.Host = ""
    """Host that sites and administrators connect to; empty: the server's name."""


_DIRECT = ConnectTo.model_construct(host="")
ConnectToEntry = Annotated[ConnectTo, fields.text_stands_for("host")]


class ClientEntry(HostEntry):
    """A participant of type client."""

    connect_to: ConnectToEntry = _DIRECT
    """Another address of the server, such as a proxy."""
    capacity: Annotated[Capacity, fields.OR_EMPTY] = Capacity()
    """Resources that NVFlare's resource manager assigns to jobs."""
    parent: str | None = None
    """The client above this one in NVFlare's hierarchy; it does not change the connections."""


class AdminEntry(ParticipantEntry):
    """A participant of type admin."""

    role: Annotated[
        fields.Role, Field(description="the administrator's role: project_admin, org_admin, lead or member")
    ]
    """project_admin: everything; lead: submits jobs; org_admin: operates sites; member: read-only."""
    connect_to: ConnectToEntry = _DIRECT
    """Another address of the server, such as a proxy."""


PARTICIPANTS: dict[str, type[ParticipantEntry]] = {
    "server": ServerEntry,
    "client": ClientEntry,
    "admin": AdminEntry,
}

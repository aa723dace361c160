"""Types of single values of project.yml, each with the error message for an invalid value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from deploy.hosts import is_host
from deploy.project.quantities import quantity_error
from deploy.project.validation.diagnostics import quoted
from deploy.project.validation.names import label_error, org_error, project_name_error
from fl_app.contract import FEDERATION_PORT, PARENT_PORT, TELEMETRY_PORT

Launcher = Literal["process", "pod"]
Variant = Literal["cpu", "gpu"]
Extra = Literal["flower", "he", "vla"]
AccessMode = Literal["ro", "rw"]
Role = Literal["project_admin", "org_admin", "lead", "member"]
Logs = Literal["private", "shared"]
Tracker = Literal["mlflow", "wandb"]

_Value = TypeVar("_Value")
_RESERVED_PORTS = {PARENT_PORT: "the server's job processes", TELEMETRY_PORT: "telemetry"}
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(
    rf"(?:{_IMAGE_PART}(?::\d{{1,5}})?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*|{_IMAGE_PART}:\d{{1,5}}"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COMPONENT = re.compile(rf"{_IDENTIFIER.pattern}(?:\.{_IDENTIFIER.pattern})*(?:\.|\.{_IDENTIFIER.pattern})")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Affects:
    """The only runtimes in which a key has an effect, for docs/project-yml.md."""

    runtimes: tuple[str, ...]


KUBERNETES = Affects(("kubernetes",))
CONTAINERS = Affects(("docker", "kubernetes"))


@dataclass(frozen=True)
class _Accepts(BeforeValidator):
    """A conversion of another kind of value, which the JSON schema accepts as well."""

    also: dict[str, Any] = field(default_factory=dict, hash=False)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [handler(schema), self.also]}


def invalid(text: str) -> PydanticCustomError:
    """Return an error with a message of ours, which is shown unchanged."""
    return PydanticCustomError("message", "{text}", {"text": text})


def _checked(error_of: Callable[[_Value], str | None]) -> AfterValidator:
    """Reject a value if `error_of` returns a message for it."""

    def check(value: _Value) -> _Value:
        if (text := error_of(value)) is not None:
            raise invalid(text)
        return value

    return AfterValidator(check)


def _port(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        unquoted = isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,4}", value) and int(value) <= 65535
        hint = f"; write {value} without quotes" if unquoted else ""
        raise invalid(f"must be a whole number from 1 to 65535, not {quoted(value)}{hint}")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise invalid(f"must be a number, not {quoted(value)}")
    return value


def _reserved_port_error(value: int) -> str | None:
    if value not in _RESERVED_PORTS:
        return None
    return (
        f"{value} is reserved for {_RESERVED_PORTS[value]} on every host; use another port, such as "
        f"{FEDERATION_PORT}"
    )


def _namespace_error(value: str) -> str | None:
    if value.startswith("kube-"):
        return "Kubernetes reserves namespaces that begin with kube-; choose another name"
    return label_error(value)


def _must(text: str, is_valid: Callable[[str], object]) -> AfterValidator:
    """Reject a text with the message `must TEXT, not VALUE`."""

    def error_of(value: str) -> str | None:
        return None if is_valid(value) else f"must {text}, not {quoted(value)}"

    return _checked(error_of)


def _duplicate_error(value: list[str]) -> str | None:
    twice = next((item for item in value if value.count(item) > 1), None)
    return f"{twice} is listed twice; remove one" if twice else None


def _component_error(value: str) -> str | None:
    """Check an entry by NVFlare's rules, which would reject it only when a parent starts."""
    if value == "*":
        return "would allow every class to every job; name classes or packages"
    if _COMPONENT.fullmatch(value):
        return None
    hint = f"; write {value}. for the whole package" if _IDENTIFIER.fullmatch(value) else ""
    return (
        "must be a class such as my_package.aggregation.Median, or a package that ends with a dot such as "
        f"my_package., not {quoted(value)}{hint}"
    )


def _negative_error(value: float) -> str | None:
    return None if value >= 0 else f"must be 0 or more, not {value}"


def _clear_error(value: str) -> str | None:
    return "Flarefleet does not support unencrypted connections; write mtls" if value == "clear" else None


def _as_list(value: object) -> object:
    """Accept a text for a list of one and an empty value for an empty list, as NVFlare does."""
    return [] if value is None else [value] if isinstance(value, str) else value


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _off_of_yaml(value: object) -> object:
    """Return `off` for false, which is what YAML reads for it."""
    return "off" if value is False else value


def text_stands_for(key: str) -> BeforeValidator:
    """Accept a text in place of a section, as the value of its `key`."""
    return _Accepts(lambda value: {key: value} if isinstance(value, str) else value, also={"type": "string"})


OR_EMPTY = _Accepts(lambda value: {} if value is None else value, also={"type": "null"})
"""Accept a section without content, such as `args:`, which NVFlare's own files contain."""
_LOWER = BeforeValidator(lambda value: value.lower().strip() if isinstance(value, str) else value)

ApiVersion = Annotated[
    int, _checked(lambda value: None if value in (3, 4) else f"must be 3 or 4, not {value}")
]
ProjectName = Annotated[str, _checked(project_name_error)]
Org = Annotated[str, _checked(org_error), Field(description="its organization, such as hospital_1")]
Port = Annotated[
    int, BeforeValidator(_port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65535})
]
PortOrZero = Annotated[
    int,
    BeforeValidator(lambda value: value if value == 0 and value is not False else _port(value)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 65535}),
]
FederationPort = Annotated[Port, _checked(_reserved_port_error)]
Host = Annotated[str, _must("be a host name or an IPv4 address, such as flare.example.org", is_host)]
HostNames = Annotated[list[Host], _Accepts(_as_list, also={"type": ["string", "null"]})]
AnySecurity = Annotated[Literal["mtls", "tls", "clear"], _LOWER]
Security = Annotated[AnySecurity, _checked(_clear_error), WithJsonSchema({"enum": ["mtls", "tls"]})]
Scheme = Annotated[Literal["grpc", "tcp", "http"], _LOWER]
Count = Annotated[int, _checked(_negative_error)]
Number = Annotated[int | float, BeforeValidator(_number)]
Seconds = Annotated[Number, _checked(_negative_error)]
Days = Annotated[Number, _checked(lambda value: None if value > 0 else f"must be more than 0, not {value}")]
TextOrNumber = Annotated[str, _Accepts(_number_as_text, also={"type": "number"})]
"""A text that YAML may read as a number, such as the quantities 2 and 0.5."""
Texts = Annotated[dict[str, TextOrNumber], OR_EMPTY]
Storage = Annotated[TextOrNumber, _checked(lambda value: quantity_error(value, is_bytes=True))]
Namespace = Annotated[str, _checked(_namespace_error)]
Claim = Annotated[
    str,
    _must("name a PersistentVolumeClaim (lower-case letters, digits, - and .)", _CLAIM.fullmatch),
    Field(description="the PersistentVolumeClaim that holds the data"),
]
Registry = Annotated[
    str,
    _must(
        "be HOST[:PORT]/PATH in lower case, such as registry.example.org/flare",
        lambda value: len(value) <= 255 and _REGISTRY.fullmatch(value),
    ),
]
Tag = Annotated[str, _must("be letters, digits, _, . and -", _TAG.fullmatch)]
Extras = Annotated[list[Extra], _checked(_duplicate_error)]
Trackers = Annotated[list[Tracker], _checked(_duplicate_error)]
AllowedComponents = Annotated[list[Annotated[str, _checked(_component_error)]], _checked(_duplicate_error)]
RuleLevel = Annotated[Literal["error", "warn", "off"], _Accepts(_off_of_yaml, also={"const": False})]
Arguments = Annotated[dict[str, Any], OR_EMPTY]

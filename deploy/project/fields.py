"""What a single value of project.yml may be: types that refuse all else, in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from deploy.project.models import Extra
from deploy.project.quantities import quantity_fault
from deploy.project.validation.diagnostics import shown
from deploy.project.validation.names import is_host, label_fault, org_fault, project_name_fault
from fl_app.contract import FEDERATION_PORT, PARENT_PORT, TELEMETRY_PORT

_Value = TypeVar("_Value")
_HELD_PORTS = {PARENT_PORT: "the server's job processes", TELEMETRY_PORT: "telemetry"}
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REGISTRY = re.compile(
    rf"(?:{_IMAGE_PART}(?::\d{{1,5}})?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*|{_IMAGE_PART}:\d{{1,5}}"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def wrong(text: str) -> PydanticCustomError:
    """A mistake in words, which are shown as they are."""
    return PydanticCustomError("words", "{text}", {"text": text})


def _checked(fault: Callable[[_Value], str | None]) -> AfterValidator:
    """Refuse a value with the words that `fault` finds for it."""

    def check(value: _Value) -> _Value:
        if (text := fault(value)) is not None:
            raise wrong(text)
        return value

    return AfterValidator(check)


def _port(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        unquoted = isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,4}", value) and int(value) <= 65535
        hint = f"; write {value} without quotes" if unquoted else ""
        raise wrong(f"must be a whole number from 1 to 65535, not {shown(value)}{hint}")
    return value


def _any_port(value: object) -> object:
    return value if value == 0 and not isinstance(value, bool) else _port(value)


def _held_port_fault(value: int) -> str | None:
    if value not in _HELD_PORTS:
        return None
    return (
        f"{value} is the port of {_HELD_PORTS[value]} on every host; take another, such as {FEDERATION_PORT}"
    )


def _host_fault(value: str) -> str | None:
    if is_host(value):
        return None
    return f"must be a host name or an IPv4 address, such as flare.example.org, not {shown(value)}"


def _namespace_fault(value: str) -> str | None:
    if value.startswith("kube-"):
        return "Kubernetes keeps namespaces that begin with kube- for itself; choose another"
    return label_fault(value)


def _claim_fault(value: str) -> str | None:
    if _CLAIM.fullmatch(value):
        return None
    return f"must name a PersistentVolumeClaim (lower-case letters, digits, - and .), not {shown(value)}"


def _registry_fault(value: str) -> str | None:
    if len(value) <= 255 and _REGISTRY.fullmatch(value):
        return None
    return f"must be HOST[:PORT]/PATH in lower case, such as registry.example.org/flare, not {shown(value)}"


def _tag_fault(value: str) -> str | None:
    return None if _TAG.fullmatch(value) else f"must be letters, digits, _, . and -, not {shown(value)}"


def _twice_fault(value: list[Extra]) -> str | None:
    twice = next((extra for extra in value if value.count(extra) > 1), None)
    return f"{twice} stands here twice; take one out" if twice else None


def _api_version_fault(value: int) -> str | None:
    return None if value in (3, 4) else f"must be 3 or 4, not {value}"


def _count_fault(value: int) -> str | None:
    return None if value >= 0 else f"must be 0 or more, not {value}"


def _clear_fault(value: str) -> str | None:
    return "Flarefleet carries no federation without encryption; write mtls" if value == "clear" else None


def _lower(value: object) -> object:
    return value.lower().strip() if isinstance(value, str) else value


def _as_list(value: object) -> object:
    """NVFlare takes one text for a list of one, and nothing for none."""
    return [] if value is None else [value] if isinstance(value, str) else value


def _as_amount(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _or_empty(value: object) -> object:
    return {} if value is None else value


def text_stands_for(key: str) -> BeforeValidator:
    """A section that may be written as one text, which is its `key`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


OR_EMPTY = BeforeValidator(_or_empty)
"""A section may be left empty: `args:` with nothing behind it, as NVFlare's own files hold."""

ApiVersion = Annotated[int, _checked(_api_version_fault)]
ProjectName = Annotated[str, _checked(project_name_fault)]
Org = Annotated[str, _checked(org_fault), Field(description="its organization, such as hospital_1")]
Port = Annotated[int, BeforeValidator(_port)]
PortOrAny = Annotated[int, BeforeValidator(_any_port)]
FederationPort = Annotated[Port, _checked(_held_port_fault)]
Host = Annotated[str, _checked(_host_fault)]
HostNames = Annotated[list[Host], BeforeValidator(_as_list)]
AnySecurity = Annotated[Literal["mtls", "tls", "clear"], BeforeValidator(_lower)]
Security = Annotated[AnySecurity, _checked(_clear_fault)]
Scheme = Annotated[Literal["grpc", "tcp", "http"], BeforeValidator(_lower)]
Count = Annotated[int, _checked(_count_fault)]
Amount = Annotated[str, BeforeValidator(_as_amount)]
"""YAML reads 2 and 0.5 as numbers; Kubernetes takes them as well."""
Amounts = Annotated[dict[str, Amount], OR_EMPTY]
Storage = Annotated[Amount, _checked(lambda value: quantity_fault(value, is_bytes=True))]
Namespace = Annotated[str, _checked(_namespace_fault)]
Claim = Annotated[
    str, _checked(_claim_fault), Field(description="the PersistentVolumeClaim that holds the data")
]
Registry = Annotated[str, _checked(_registry_fault)]
Tag = Annotated[str, _checked(_tag_fault)]
Extras = Annotated[list[Extra], _checked(_twice_fault)]
Arguments = Annotated[dict[str, Any], OR_EMPTY]

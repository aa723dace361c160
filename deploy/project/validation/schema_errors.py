"""Parsing of sections: pydantic's errors as messages, each with its location and remedy."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from deploy.project.participant_schema import PARTICIPANTS, Section
from deploy.project.validation.diagnostics import Choices, Diagnostic, Location, quoted

_Section = TypeVar("_Section", bound=Section)
TextOf = Callable[[Location], str | None]
"""Returns a value as written in the file."""

UNSUPPORTED = {
    "edge": "Flarefleet does not support edge federations; name the clients among the participants",
    "packager": "Flarefleet writes its own release of each kit; remove the packager",
    "cc_config": "Flarefleet does not support confidential computing; remove it",
    "enable_byoc": "NVFlare 2.9 ignores it: local/authorization.json decides who may bring code; remove it",
    "components": "NVFlare 2.9 ignores it; remove it, and write gpus in deployment.sites",
}
"""Keys of NVFlare, or of an earlier release, that Flarefleet does not support."""

_ARTICLE = {"server": "the server", "client": "a client", "admin": "an administrator"}
_EXPECTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list (lines that begin with -)",
    "dict_type": "a mapping (KEY: VALUE lines)",
    "model_type": "a mapping (KEY: VALUE lines)",
}


def parse(
    section: type[_Section], value: object, at: Location, text_of: TextOf
) -> tuple[_Section | None, list[Diagnostic]]:
    """Parse one section of the document. Return it, or None and its errors."""
    try:
        return section.model_validate(value), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    found = [((*at, *detail["loc"]), detail) for detail in details]
    return None, [Diagnostic(where, _message(section, detail, text_of(where))) for where, detail in found]


def _message(section: type[Section], detail: ErrorDetails, written: str | None) -> str:
    value = detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "message":
            return str(context["text"])
        case "missing":
            key = str(detail["loc"][-1])
            field = _model_at(section, detail["loc"]).model_fields[key]
            return f"missing; write {field.description or key}"
        case "extra_forbidden":
            return _unknown_key(str(detail["loc"][-1]), _model_at(section, detail["loc"]))
        case "string_type":
            return _not_text(value, written)
        case "literal_error":
            return _not_in_choices(value, section, detail["loc"])
        case "greater_than_equal":
            return f"must be a whole number, {context['ge']} or more, not {quoted(value)}"
    expected = _EXPECTED.get(detail["type"], detail["msg"])
    return f"must be {expected}, not {quoted(value)}"


def _unknown_key(key: str, section: type[BaseModel]) -> str:
    if key in UNSUPPORTED:
        return UNSUPPORTED[key]
    owners = [
        kind for kind, entry in PARTICIPANTS.items() if key in entry.model_fields and entry is not section
    ]
    if owners and section in PARTICIPANTS.values():
        return f"unknown key here: only {' and '.join(_ARTICLE[owner] for owner in owners)} has it; remove it"
    return f"unknown key; {Choices(section.model_fields).hint(key)}"


def _not_text(value: object, written: str | None) -> str:
    if isinstance(value, dict | list) or value is None:
        return f"must be text, not {quoted(value)}"
    text = (written if written is not None else quoted(value))[:60]
    return f'must be text, but YAML reads {text} as another type; write "{text}"'


def _not_in_choices(value: object, section: type[Section], at: Location) -> str:
    bare = _bare(_annotation_at(section, at))
    literals = typing.get_args(bare) if typing.get_origin(bare) is typing.Literal else ()
    choices = [str(choice) for choice in literals]
    likely = Choices(choices).closest(value) if isinstance(value, str) else None
    text = f"must be {' or '.join(choices)}, not {quoted(value)}"
    return f"{text}; did you mean {likely}?" if likely else text


def _model_at(section: type[BaseModel], at: Location) -> type[BaseModel]:
    """Return the section that contains the last key of a location."""
    return _section_in(_annotation_at(section, at[:-1])) or section


def _annotation_at(section: type[BaseModel], at: Location) -> Any:
    annotation: Any = section
    for step in at:
        bare = _bare(annotation)
        if isinstance(bare, type) and issubclass(bare, BaseModel) and step in bare.model_fields:
            annotation = bare.model_fields[str(step)].annotation
        else:
            arguments = typing.get_args(bare)
            annotation = arguments[-1] if arguments else annotation
    return annotation


def _bare(annotation: Any) -> Any:
    """Return a type without its Annotated metadata."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that an annotation is or contains."""
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return bare
    return next((found for part in typing.get_args(bare) if (found := _section_in(part))), None)

"""What pydantic finds, put into words: each error with its place, what is wrong and what would be right."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from deploy.project.schema import PARTICIPANTS, Section
from deploy.project.validation.diagnostics import Diagnostic, Location, did_you_mean, meant, shown

_Section = TypeVar("_Section", bound=Section)
TextOf = Callable[[Location], str | None]
"""A value as it is written in the file."""

NOT_CARRIED = {
    "edge": "Flarefleet carries no edge federation; name the clients among the participants",
    "packager": "Flarefleet makes its own release of each kit; take out the packager",
    "cc_config": "Flarefleet carries no confidential computing; take it out",
    "enable_byoc": "NVFlare 2.9 ignores it: who may bring code is in local/authorization.json; take it out",
    "components": "NVFlare 2.9 ignores it; take it out, and write gpus in deployment.sites",
}
"""Keys that NVFlare or an earlier one knows, and the kit does not carry."""


_ARTICLE = {"server": "the server", "client": "a client", "admin": "an administrator"}


def validate(
    section: type[_Section], value: object, at: Location, text_of: TextOf
) -> tuple[_Section | None, list[Diagnostic]]:
    """Read one part of the document: the part, or what is wrong with it."""
    try:
        return section.model_validate(value), []
    except ValidationError as error:
        found = error.errors(include_url=False)
    return None, [_mistake(section, detail, at, text_of) for detail in found]


def _mistake(section: type[Section], detail: ErrorDetails, above: Location, text_of: TextOf) -> Diagnostic:
    at = (*above, *detail["loc"])
    return Diagnostic(at, _words(section, detail, text_of(at)))


def _words(section: type[Section], detail: ErrorDetails, written: str | None) -> str:
    value = detail["input"]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "words":
            return str(context["text"])
        case "missing":
            return f"missing; write {_description(section, detail['loc'])}"
        case "extra_forbidden":
            return unknown_key(str(detail["loc"][-1]), _model_at(section, detail["loc"]))
        case "string_type":
            return _not_text(value, written)
        case "literal_error":
            return _not_one_of(value, section, detail["loc"])
        case "greater_than_equal":
            return f"must be a whole number, {context['ge']} or more, not {shown(value)}"
    expected = _EXPECTED.get(detail["type"], detail["msg"])
    return f"must be {expected}, not {shown(value)}"


_EXPECTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list (lines that begin with -)",
    "dict_type": "a mapping (KEY: VALUE lines)",
    "model_type": "a mapping (KEY: VALUE lines)",
}


def unknown_key(key: str, section: type[BaseModel]) -> str:
    """Words for a key that a section does not have."""
    if key in NOT_CARRIED:
        return NOT_CARRIED[key]
    known = list(section.model_fields)
    homes = [
        kind for kind, entry in PARTICIPANTS.items() if key in entry.model_fields and entry is not section
    ]
    if homes and section in PARTICIPANTS.values():
        return f"unknown key here: only {' and '.join(_ARTICLE[home] for home in homes)} has it; take it out"
    return f"unknown key; {meant(key, known)}"


def _not_text(value: object, written: str | None) -> str:
    if isinstance(value, dict | list) or value is None:
        return f"must be text, not {shown(value)}"
    text = (written if written is not None else shown(value))[:60]
    return f'must be text, and YAML reads {text} otherwise; write "{text}"'


def _not_one_of(value: object, section: type[Section], at: Location) -> str:
    choices = [str(choice) for choice in _literals(_annotation_at(section, at))]
    likely = did_you_mean(value, choices) if isinstance(value, str) else None
    text = f"must be {' or '.join(choices)}, not {shown(value)}"
    return f"{text}; did you mean {likely}?" if likely else text


def _description(section: type[Section], at: Location) -> str:
    field = _model_at(section, at).model_fields[str(at[-1])]
    return field.description or str(at[-1])


def _model_at(section: type[BaseModel], at: Location) -> type[BaseModel]:
    """The section in which the last step of a location stands."""
    found = _section_in(_annotation_at(section, at[:-1]))
    return found or section


def _annotation_at(section: type[BaseModel], at: Location) -> Any:
    annotation: Any = section
    for step in at:
        inside = _section_in(annotation, whole=True)
        if inside is not None and step in inside.model_fields:
            annotation = inside.model_fields[str(step)].annotation
        else:
            arguments = typing.get_args(_bare(annotation))
            annotation = arguments[-1] if arguments else annotation
    return annotation


def _bare(annotation: Any) -> Any:
    """A type without what Annotated says of it."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def _section_in(annotation: Any, *, whole: bool = False) -> type[BaseModel] | None:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return bare
    if whole:
        return None
    return next((found for part in typing.get_args(bare) if (found := _section_in(part))), None)


def _literals(annotation: Any) -> tuple[Any, ...]:
    bare = _bare(annotation)
    return typing.get_args(bare) if typing.get_origin(bare) is typing.Literal else ()

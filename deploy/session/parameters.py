"""Validate `--set NAME=VALUE` against the parameters of a job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from deploy.errors import InputError
from deploy.project.validation.diagnostics import Choices
from fl_app.jobs.exported_jobs import NoParameters
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, UnknownJob, find
from fl_app.jobs.scripts import ScriptArguments
from fl_app.jobs.user_code import UserCodeError


def find_job(name: str) -> JobDescription:
    """Return the job `name`.

    Raises:
        InputError: there is no such job.
    """
    try:
        return find(name)
    except UnknownJob as error:
        raise InputError(str(error)) from None


def read_parameters(
    job: JobDescription, settings: Sequence[str], arguments: Sequence[str] = ()
) -> JobParameters:
    """Return the parameters of `job` with these settings.

    Args:
        settings: values of --set.
        arguments: further words after the name of the job.

    Raises:
        InputError: settings or arguments are invalid; the message lists all of them.
    """
    if issubclass(job.parameters, ScriptArguments):
        _refuse_settings(job, settings, f"pass the script's arguments after --: {job.file} -- --NAME VALUE")
        return job.parameters(arguments=tuple(arguments))
    if issubclass(job.parameters, NoParameters):
        _refuse_settings(job, settings, "change its configuration, or export it again with other parameters")
    given, errors = _split(settings)
    errors += [_misplaced(word, job) for word in arguments]
    known = job.parameters.model_fields
    for name in (name for name in given if name not in known):
        available = Choices(known).available(name)
        errors.append(f"--set {name}: the job {job.name} has no such parameter; {available}")
    values: dict[str, Any] = {}
    for name in (name for name in given if name in known):
        try:
            values[name] = _value(given[name], type_text(known[name].annotation))
        except ValueError as error:
            errors.append(_invalid((name,), f"is not valid JSON: {error}", given, job))
    try:
        parameters = job.parameters.model_validate(values)
    except ValidationError as error:
        errors += [
            str(cause)
            if isinstance(cause := one.get("ctx", {}).get("error"), UserCodeError)
            else _invalid(one["loc"], one["msg"].removeprefix(_PREFIX), given, job)
            for one in error.errors()
        ]
    if errors:
        raise InputError(errors)
    return parameters


_PREFIX = "Value error, "
"""pydantic's words before the message of a validator."""


def _refuse_settings(job: JobDescription, settings: Sequence[str], remedy: str) -> None:
    if settings:
        raise InputError(f"--set {settings[0]}: {job.file} has no parameters of Flarefleet; {remedy}")


def _misplaced(word: str, job: JobDescription) -> str:
    name = word.partition("=")[0].lstrip("-")
    if "=" in word or name in job.parameters.model_fields:
        setting = word.lstrip("-") if "=" in word else f"{name}=VALUE"
        return f"{word}: is not a parameter without --set; write --set {setting}"
    return f"{word}: unexpected argument; a parameter is set with --set NAME=VALUE"


def _split(settings: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    given: dict[str, str] = {}
    errors = []
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.strip()
        if not equals or not name:
            errors.append(f"--set {setting}: must be NAME=VALUE, such as --set rounds=5")
        elif name in given:
            errors.append(f"--set {name}: is set twice")
        else:
            given[name] = value.strip()
    return given, errors


def _value(text: str, kind: str) -> Any:
    """Parse a list or an object as JSON; leave other values as text.

    Args:
        text: the value.
        kind: type of the parameter: see `type_text`.

    Raises:
        ValueError: a list or an object is not valid JSON.
    """
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if "JSON" in kind:
            raise
        return text


def _invalid(loc: tuple[int | str, ...], message: str, given: dict[str, str], job: JobDescription) -> str:
    if not loc:
        return f"--set: {message}"
    name = str(loc[0])
    field = job.parameters.model_fields[name]
    allowed = f"{name} is {describe(field)}; default: {default_text(field) or 'empty'}"
    return f"--set {name}={given.get(name, '')}: {message}; {allowed}"


def describe(field: FieldInfo) -> str:
    """Return the type, choices and limits of a parameter, such as `int, at least 1, at most 100`."""
    limits = [
        f"{text} {getattr(limit, bound)}"
        for limit in field.metadata
        for bound, text in _BOUNDS
        if hasattr(limit, bound)
    ]
    return ", ".join([type_text(field.annotation), *limits])


_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def type_text(kind: Any) -> str:
    """Return a type as users write its values: choices as `a|b|c`, and nothing about None."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return type_text(arguments[0])
    if origin is Literal:
        return "|".join(str(one) for one in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_text(one) for one in arguments if one is not NoneType))
    if origin is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "JSON object"
    if origin in (list, tuple):
        return "JSON list"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(one.value) for one in kind)
    return {"str": "text", "bool": "true|false", "float": "number"}.get(name := kind.__name__, name)


def default_text(field: FieldInfo) -> str:
    """Return the default of a parameter as it is written after --set; "not set" if there is none."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "not set"
    if isinstance(value, bool | dict | list | tuple):
        return json.dumps(value)
    return str(value.value if isinstance(value, Enum) else value)

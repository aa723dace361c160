"""Validate `--set NAME=VALUE` against the parameters of a job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from deploy.errors import InputError
from deploy.project.validation.diagnostics import Choices
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, UnknownJob, find
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


def read_parameters(job: JobDescription, settings: Sequence[str]) -> JobParameters:
    """Return the parameters of `job` with these settings.

    Raises:
        InputError: settings are invalid; the message lists all of them.
    """
    given, errors = _split(settings)
    known = job.parameters.model_fields
    for name in (name for name in given if name not in known):
        available = Choices(known).available(name)
        errors.append(f"--set {name}: the job {job.name} has no such parameter; {available}")
    values = {name: _value(text) for name, text in given.items() if name in known}
    try:
        parameters = job.parameters.model_validate(values)
    except ValidationError as error:
        errors += [
            str(cause)
            if isinstance(cause := one.get("ctx", {}).get("error"), UserCodeError)
            else _invalid(one["loc"], one["msg"], given, job)
            for one in error.errors()
        ]
    if errors:
        raise InputError(errors)
    return parameters


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


def _value(text: str) -> Any:
    """Parse a list or an object as JSON; leave other values as text."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _invalid(loc: tuple[int | str, ...], message: str, given: dict[str, str], job: JobDescription) -> str:
    if not loc:
        return f"--set: {message}"
    name = str(loc[0])
    field = job.parameters.model_fields[name]
    allowed = f"{name} is {describe(field)}; default {field.default!r}"
    return f"--set {name}={given.get(name, '')}: {message}; {allowed}"


def describe(field: FieldInfo) -> str:
    """Return the type and limits of a parameter, such as `int, at least 1, at most 100`."""
    kind = getattr(field.annotation, "__name__", str(field.annotation))
    limits = [
        f"{text} {getattr(limit, bound)}"
        for limit in field.metadata
        for bound, text in _BOUNDS
        if hasattr(limit, bound)
    ]
    return ", ".join([kind, *limits])


_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))

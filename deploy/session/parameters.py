"""Reads `--set NAME=VALUE` into a job's parameters, and says what is wrong before anything is submitted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from deploy.errors import InputError
from fl_app.jobs.parameters import JobParameters
from fl_app.jobs.registry import JobDescription, UnknownJob, find
from fl_app.jobs.user_code import UserCodeError


def find_job(name: str) -> JobDescription:
    """The job `name`.

    Raises:
        InputError: there is none.
    """
    try:
        return find(name)
    except UnknownJob as error:
        raise InputError(str(error)) from None


def read_parameters(job: JobDescription, settings: Sequence[str]) -> JobParameters:
    """The parameters of `job` with these settings, the others at their defaults.

    Raises:
        InputError: with every mistake: a setting without a value, set twice, of a name or value that the job
            does not take.
    """
    given, mistakes = _split(settings)
    known = job.parameters.model_fields
    mistakes += [_unknown(name, job) for name in given if name not in known]
    values = {name: _value(text) for name, text in given.items() if name in known}
    try:
        parameters = job.parameters.model_validate(values)
    except ValidationError as error:
        mistakes += [
            str(cause)
            if isinstance(cause := fault.get("ctx", {}).get("error"), UserCodeError)
            else _refused(fault["loc"], fault["msg"], given, job)
            for fault in error.errors()
        ]
    if mistakes:
        raise InputError(mistakes)
    return parameters


def _split(settings: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    given: dict[str, str] = {}
    mistakes = []
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.strip()
        if not equals or not name:
            mistakes.append(f"--set {setting}: must be NAME=VALUE, such as --set rounds=5")
        elif name in given:
            mistakes.append(f"--set {name}: is set twice")
        else:
            given[name] = value.strip()
    return given, mistakes


def _value(text: str) -> Any:
    """Text, but for a list or an object, which is written as JSON."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _unknown(name: str, job: JobDescription) -> str:
    close = get_close_matches(name, job.parameters.model_fields, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    has = ", ".join(job.parameters.model_fields)
    return f"--set {name}: the job {job.name} has no such parameter; {hint}It has: {has}"


def _refused(loc: tuple[int | str, ...], message: str, given: dict[str, str], job: JobDescription) -> str:
    if not loc:
        return f"--set: {message}"
    name = str(loc[0])
    field = job.parameters.model_fields[name]
    allowed = f"{name} is {describe(field)}; default {field.default!r}"
    return f"--set {name}={given.get(name, '')}: {message}; {allowed}"


def describe(field: FieldInfo) -> str:
    """What a parameter takes: `int, at least 1, at most 100`."""
    kind = getattr(field.annotation, "__name__", str(field.annotation))
    limits = [
        f"{words} {getattr(limit, bound)}"
        for limit in field.metadata
        for bound, words in _BOUNDS
        if hasattr(limit, bound)
    ]
    return ", ".join([kind, *limits])


_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))

"""Completion of arguments in a shell: jobs, parameters, sites, administrators, job ids.

A function returns nothing if it fails: a message would be written into the user's command line. None opens a
session: ids are those that an earlier command has seen.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import redirect_stderr
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from deploy.cli.context import Context, context_of, is_given

PROGRAM = "_FLAREFLEET_COMPLETE"
"""Variable that a shell sets for a completion."""
_WORDS, _NUMBER = "COMP_WORDS", "COMP_CWORD"
_CUT = "_FLAREFLEET_COMPLETE_AFTER"
"""Set if bash takes only the part of the word after = as the word to complete."""

Completion = tuple[str, str]
"""A value and its explanation."""


class _Rest(str):
    """The end of a value, which bash completes. typer compares it with the whole word."""

    def startswith(self, *_: Any) -> bool:
        """Return True: the whole value was compared."""
        return True


def _quiet(
    complete: Callable[[Context, typer.Context, str], Iterable[Completion]],
) -> Callable[[typer.Context, str], list[Completion]]:
    """Return the completions that begin with the word, or none if their search fails."""

    @wraps(complete)
    def completions(ctx: typer.Context, incomplete: str) -> list[Completion]:
        try:
            with redirect_stderr(io.StringIO()):
                found = list(complete(context_of(ctx), ctx, incomplete))
        except Exception:  # a traceback would fill the line that the user is typing
            return []
        before = os.environ.get(_CUT, "")
        return [
            (_Rest(value.removeprefix(before)) if before else value, text)
            for value, text in found
            if value.startswith(incomplete)
        ]

    # typer passes arguments by the annotations of this function, not of the one that it wraps.
    del completions.__wrapped__
    completions.__annotations__ = {"ctx": typer.Context, "incomplete": str}
    return completions


@_quiet
def jobs(_context: Context, _ctx: typer.Context, incomplete: str) -> Iterable[Completion]:
    """Complete the name of a job of Flarefleet, or the path of an own one."""
    if "/" in incomplete or incomplete.startswith((".", "~")):
        folder = incomplete.rpartition("/")[0]
        for path in sorted(Path(folder or ".").expanduser().iterdir()):
            shown = f"{folder}/{path.name}" if "/" in incomplete else f"./{path.name}"
            if path.is_dir() and not path.name.startswith((".", "__")):
                yield (shown, "a job") if (path / "job.py").is_file() else (f"{shown}/", "a folder")
            elif path.suffix in (".py", ".zip"):
                yield shown, "a file"
        return
    from fl_app.jobs.registry import available

    yield from ((job.name, job.description) for job in available())


@_quiet
def parameters(_context: Context, ctx: typer.Context, incomplete: str) -> Iterable[Completion]:
    """Complete NAME= of a parameter of the job, or NAME=VALUE if its values can be listed."""
    # An option without its value, which is completed, ends the parsing before arguments have names.
    found = _parameters_of(ctx.params["job"] or ctx.args[0])
    name, equals, _ = incomplete.partition("=")
    for parameter, (text, choices) in found.items():
        if equals and parameter == name:
            yield from ((f"{parameter}={choice}", text) for choice in choices)
        elif not equals:
            yield f"{parameter}=", text


def _parameters_of(job: str) -> Mapping[str, tuple[str, Sequence[str]]]:
    """Return the explanation and the choices of each parameter; a user's own job is not run."""
    from deploy.session.own_parameters import own_parameters
    from deploy.session.parameters import describe, find_job, type_text
    from fl_app.jobs.registry import is_path

    if is_path(job):
        return own_parameters(Path(job).expanduser())
    found = {}
    for name, field in find_job(job).parameters.model_fields.items():
        kinds = type_text(field.annotation)
        choices = kinds.split("|") if "|" in kinds and " " not in kinds else []
        found[name] = field.description or describe(field), choices
    return found


@_quiet
def sites(context: Context, _ctx: typer.Context, _incomplete: str) -> Iterable[Completion]:
    """Complete the name of a site."""
    yield from ((site.name, site.org) for site in context.project().sites)


@_quiet
def parents(context: Context, _ctx: typer.Context, _incomplete: str) -> Iterable[Completion]:
    """Complete the name of the server or of a site."""
    yield from ((parent.name, parent.role) for parent in context.project().parents)


@_quiet
def administrators(context: Context, _ctx: typer.Context, _incomplete: str) -> Iterable[Completion]:
    """Complete the name of an administrator."""
    yield from ((admin.name, admin.role) for admin in context.project().admins)


@_quiet
def guard_levels(_context: Context, _ctx: typer.Context, _incomplete: str) -> Iterable[Completion]:
    """Complete RULE=LEVEL."""
    from fl_app.guard.rule_table import RULES, Level

    yield from ((f"{rule.name}={level.value}", rule.finds) for rule in RULES for level in Level)


@_quiet
def job_ids(context: Context, ctx: typer.Context, _incomplete: str) -> Iterable[Completion]:
    """Complete the id of a job that an earlier command has seen, the newest first."""
    from deploy.cli.admin_session import choose_kit
    from deploy.session.known_jobs import known_jobs

    kit = choose_kit(context, ctx.params.get("admin_kit"))
    yield "latest", "the job that was submitted last"
    yield from reversed(known_jobs(kit or context.project_file).items())


def parents_and_job_ids(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete the name of the server or of a site, or the id of a job."""
    return parents(ctx, incomplete) + job_ids(ctx, incomplete)


def join_words(environment: MutableMapping[str, str] = os.environ) -> None:
    """Join the words of a command line that bash has split at =, such as `--set rounds = 5`."""
    if environment.get(PROGRAM) != "complete_bash" or _WORDS not in environment:
        return
    words, number = environment[_WORDS].split("\n"), int(environment[_NUMBER])
    joined: list[str] = []
    for position, word in enumerate(words):
        if joined and (word == "=" or words[position - 1] == "="):
            joined[-1] += word
        else:
            joined.append(word)
        if position == min(number, len(words) - 1):
            current = len(joined) - 1
    if number >= len(words):
        current = len(joined)
    if current < len(joined) and joined[current] != words[number]:
        environment[_CUT] = joined[current].rpartition("=")[0] + "="
    environment[_WORDS], environment[_NUMBER] = "\n".join(joined), str(current)


def prepare(ctx: Any) -> None:
    """Give a completion the options before the command: the program does not store them then."""
    if ctx is not None and ctx.resilient_parsing and ctx.obj is None and ctx.params.get("project"):
        files = Path(ctx.params["project"]), Path(ctx.params["workspace"])
        ctx.obj = Context(*files, is_given(ctx, "project"))

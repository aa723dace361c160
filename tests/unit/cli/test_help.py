"""The help of every command, and the options that every command accepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.app import app
from deploy.cli.commands import COMMANDS as COMMAND_MODULES
from deploy.cli.commands import GLOBAL_OPTIONS, SUMMARIES
from deploy.runtimes.choice import BACKENDS, RuntimeName
from tests.federation.federation import write_project

PROGRAM: Any = typer.main.get_command(app)
CONTEXT = PROGRAM.make_context("flarefleet", ["check"], resilient_parsing=True)
TYPE_NAMES = re.compile(r"Literal|Optional|Union|<bool>|list\[|range>|<float>|<int>|\[/?(bold|red|dim)\]")


def subcommand(command: Any, name: str) -> Any:
    return command.resolve_command(CONTEXT, [name])[1]


def commands(command: Any = PROGRAM, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and subcommand."""
    yield path
    if hasattr(command, "list_commands"):
        for name in command.list_commands(CONTEXT):
            yield from commands(subcommand(command, name), *path, name)


def options_of(*path: str) -> dict[str, Any]:
    """Return the options of a command by name."""
    command = PROGRAM
    for name in path:
        command = subcommand(command, name)
    return {option.name: option for option in command.params if option.param_type_name == "option"}


def help_of(*path: str) -> str:
    answer = CliRunner().invoke(app, [*path, "--help"])
    assert answer.exit_code == 0, answer.output
    return answer.output


COMMANDS = [pytest.param(path, id=" ".join(path) or "flarefleet") for path in commands()]


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_shows_no_type_names_of_python_and_no_markup(path: tuple[str, ...]) -> None:
    assert not TYPE_NAMES.findall(help_of(*path))


@pytest.mark.parametrize("path", COMMANDS)
def test_a_flag_has_no_value_in_the_help(path: tuple[str, ...]) -> None:
    text = help_of(*path)
    for option in options_of(*path).values():
        assert option.is_flag == (option.type_descriptor.annotation is bool)
        if option.is_flag:
            assert not re.search(rf"{option.opts[0]} [<A-Z]", text)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_duration_is_a_number_of_seconds(path: tuple[str, ...]) -> None:
    for option in options_of(*path).values():
        is_duration = option.type_descriptor.annotation is float or "timeout" in option.name
        assert is_duration == ("SECONDS" in (option.metavar or "").split("|")) or option.name == "since"


@pytest.mark.parametrize("path", COMMANDS)
def test_only_the_program_installs_shell_completion(path: tuple[str, ...]) -> None:
    assert ("install_completion" in options_of(*path)) == (path == ())


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_accepts_the_global_options(path: tuple[str, ...]) -> None:
    assert options_of(*path).keys() >= GLOBAL_OPTIONS.keys()


def test_the_help_of_the_program_summarizes_each_command_in_one_line() -> None:
    assert list(SUMMARIES) == list(COMMAND_MODULES)
    for name, summary in SUMMARIES.items():
        assert f"{name} {summary}" in " ".join(help_of().split())


def test_the_choices_of_a_runtime_are_the_backends() -> None:
    assert [one.value for one in RuntimeName] == list(BACKENDS)
    assert "process|docker|kubernetes" in help_of("up")


@pytest.mark.parametrize(
    "words",
    [
        ["--project", "FILE", "--workspace", "W", "status"],
        ["status", "--project", "FILE", "--workspace", "W"],
        ["--project", "other.yml", "status", "--workspace", "W", "--project", "FILE"],
        ["images", "list", "--project", "FILE"],
        ["images", "--project", "FILE", "list"],
    ],
    ids=" ".join,
)
def test_a_global_option_is_accepted_before_and_after_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    file = str(write_project(tmp_path, sites=1))
    filled = {"FILE": file, "W": str(tmp_path / "w")}

    answer = CliRunner().invoke(app, [filled.get(word, word) for word in words])

    assert "clinics" in answer.output, answer.output


def test_an_option_after_the_command_overrides_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAREFLEET_PROJECT", "missing.yml")
    file = str(write_project(tmp_path, sites=1))

    answer = CliRunner().invoke(app, ["check", "--project", file])

    assert answer.exit_code == 0, answer.output

"""The table of commands."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

import deploy.cli
from deploy.cli.app import app
from deploy.cli.commands import COMMANDS


def commands_of(module: str) -> set[str]:
    found = getattr(import_module(f"deploy.cli.{module}"), "app", None)
    if not isinstance(found, typer.Typer) or found is app:
        return set()
    command = typer.main.get_command(found)
    is_one = found.info.name is not None and isinstance(found.info.name, str)
    return set(command.commands) if isinstance(command, TyperGroup) and not is_one else {str(command.name)}


def test_every_command_of_every_module_is_listed() -> None:
    defined = {
        (command, module.name)
        for module in iter_modules(deploy.cli.__path__)
        if module.name not in ("app", "commands")
        for command in commands_of(module.name)
    }
    assert defined == set(COMMANDS.items())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_own_help(command: str) -> None:
    answer = CliRunner().invoke(app, [command, "--help"])
    assert answer.exit_code == 0, answer.output
    assert f"flarefleet {command}" in " ".join(answer.output.split())


def test_a_misspelt_command_is_rejected_with_a_suggestion() -> None:
    answer = CliRunner().invoke(app, ["provison"])
    assert answer.exit_code == 2
    assert "Did you mean 'provision'?" in answer.output


def test_a_command_does_not_import_the_others() -> None:
    program = (
        "import sys; sys.argv[1:] = ['check', '--help']\n"
        "from deploy.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name in ('deploy.cli.jobs', 'deploy.cli.federation')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

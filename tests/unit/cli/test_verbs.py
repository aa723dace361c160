"""The verbs are found where `deploy.cli.verbs` says, and all of them are there."""

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
from deploy.cli.verbs import VERBS


def verbs_of(module: str) -> set[str]:
    """The verbs that a module of deploy.cli has."""
    found = getattr(import_module(f"deploy.cli.{module}"), "app", None)
    if not isinstance(found, typer.Typer) or found is app:
        return set()
    command = typer.main.get_command(found)
    is_one = found.info.name is not None and isinstance(found.info.name, str)
    return set(command.commands) if isinstance(command, TyperGroup) and not is_one else {str(command.name)}


def test_every_verb_of_every_module_is_listed() -> None:
    there = {
        (verb, module.name)
        for module in iter_modules(deploy.cli.__path__)
        if module.name not in ("app", "verbs")
        for verb in verbs_of(module.name)
    }
    assert there == set(VERBS.items())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_own_help(verb: str) -> None:
    answer = CliRunner().invoke(app, [verb, "--help"])
    assert answer.exit_code == 0, answer.output
    assert f"flarefleet {verb}" in " ".join(answer.output.split())


def test_a_misspelt_verb_brings_the_likely_right_one() -> None:
    answer = CliRunner().invoke(app, ["provison"])
    assert answer.exit_code == 2
    assert "Did you mean 'provision'?" in answer.output


def test_one_verb_does_not_import_the_others() -> None:
    program = (
        "import sys; sys.argv[1:] = ['check', '--help']\n"
        "from deploy.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in sys.modules if name in ('deploy.cli.jobs', 'deploy.cli.federation')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

"""The commands of `flarefleet`, imported on demand: importing all of them takes about a second."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from deploy.cli.completion import prepare
from deploy.cli.context import Context

COMMANDS = {
    "init": "init",
    "check": "check",
    "export-project": "init",
    "provision": "provision",
    "up": "federation",
    "status": "federation",
    "logs": "logs",
    "down": "federation",
    "restart": "federation",
    "jobs": "jobs",
    "submit": "submit",
    "watch": "watch",
    "fetch": "results",
    "abort": "jobs",
    "delete": "jobs",
    "compare": "compare",
    "export": "submit",
    "console": "jobs",
    "simulate": "simulate",
    "new-job": "new_job",
    "tensorboard": "tensorboard",
    "images": "images",
    "charts": "charts",
    "monitor": "monitor",
    "doctor": "doctor",
    "bundle": "bundle",
    "backup": "backup",
    "restore": "backup",
    "demo": "demo",
}
"""Command -> module of deploy.cli that defines it in `app`; in the order of the help."""


GLOBAL_OPTIONS = {"project": "project_file", "workspace": "workspace_folder"}
"""Option of the program that is also accepted after a command -> attribute of `Context`."""


class LazyCommands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        names: Any = dict.fromkeys(COMMANDS)
        self.commands = names  # for "did you mean"

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        prepare(ctx)
        app = import_module(f"deploy.cli.{COMMANDS[cmd_name]}").app
        app.rich_markup_mode = self.rich_markup_mode
        command = typer.main.get_group(app).commands[cmd_name]
        self._add_global_options(command)
        return command

    def _add_global_options(self, command: Any) -> None:
        """Let a command and its subcommands accept the options of the program, too."""
        for argument in command.params:
            if argument.param_type_name == "argument" and argument.nargs == -1:
                argument.display_type_rich = lambda **_: None  # typer would show `list[str]`
        for option in self.params:
            if option.name in GLOBAL_OPTIONS:
                added: Any = copy(option)
                added.default, added.envvar = None, None
                added.expose_value, added.callback = False, _store
                command.params.append(added)
        for subcommand in getattr(command, "commands", {}).values():
            self._add_global_options(subcommand)


def _store(ctx: Any, option: Any, value: Any) -> None:
    """Replace the value that was given before the command."""
    before = ctx.find_object(Context)
    if value is not None and before is not None:
        names_project = before.names_project or option.name == "project"
        ctx.obj = replace(before, **{GLOBAL_OPTIONS[option.name]: value}, names_project=names_project)

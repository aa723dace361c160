"""The commands of `flarefleet`. Only the command that runs is imported: importing all takes half a second."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

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

SUMMARIES = {
    "init": "Create a project.yml.",
    "check": "Validate project.yml and report all errors.",
    "export-project": "Write project.yml as NVFlare's own program reads it.",
    "provision": "Create or update certificates, kits and release folders.",
    "up": "Start the federation, or some sites, and wait for it.",
    "status": "Show the state of the server and all sites.",
    "logs": "Show the log of a site, or the logs of a job.",
    "down": "Stop the federation, or some sites.",
    "restart": "Stop and start some sites.",
    "jobs": "List the jobs, or the jobs that can be submitted.",
    "submit": "Submit a job and watch it until it ends.",
    "watch": "Watch a job until it ends.",
    "fetch": "Download the results of a job that has ended.",
    "abort": "Abort a running or waiting job.",
    "delete": "Delete a job that has ended.",
    "compare": "Show parameters and metrics of runs side by side.",
    "export": "Export a job as an NVFlare job folder.",
    "console": "Open NVFlare's admin console.",
    "simulate": "Run a job in NVFlare's simulator on this machine.",
    "new-job": "Create a job folder of your own.",
    "tensorboard": "Show the metrics of all sites in TensorBoard.",
    "images": "Build and transport the images of the federation.",
    "charts": "Transport the Helm charts.",
    "monitor": "Monitor the federation with Prometheus and Grafana.",
    "doctor": "Check what would fail, before it fails.",
    "bundle": "Write a support archive without any secret.",
    "backup": "Write all private keys to an encrypted file.",
    "restore": "Restore all private keys from a backup.",
    "demo": "Run a federation of hospitals on this machine.",
}
"""Command -> what the help of the program says about it, in the space that a terminal of 80 columns has."""

GLOBAL_OPTIONS = {"project": "project_file", "workspace": "workspace_folder"}
"""Option of the program that is also accepted after a command -> attribute of `Context`."""


class LazyCommands(TyperGroup):
    """The group of all commands. It lists them without importing them."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = {name: TyperCommand(name, help=SUMMARIES.get(name)) for name in COMMANDS}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import and return the command that is run or completed, after its name."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and self.load_command(ctx, str(name)), rest

    def load_command(self, ctx: Any, name: str) -> Any:
        """Import and return a command."""
        prepare(ctx)
        app = import_module(f"deploy.cli.{COMMANDS[name]}").app
        app.rich_markup_mode = self.rich_markup_mode
        command = typer.main.get_group(app).commands[name]
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

"""The commands of `flarefleet`, imported on demand: importing all of them takes about a second."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "check": "check",
    "provision": "provision",
    "up": "federation",
    "status": "federation",
    "logs": "federation",
    "down": "federation",
    "jobs": "jobs",
    "submit": "submit",
    "watch": "watch",
    "fetch": "jobs",
    "abort": "jobs",
    "export": "submit",
    "console": "jobs",
    "simulate": "simulate",
    "new-job": "new_job",
    "tensorboard": "tensorboard",
    "images": "images",
    "charts": "charts",
    "monitor": "monitor",
    "backup": "backup",
    "restore": "backup",
    "demo": "demo",
}
"""Command -> module of deploy.cli that defines it in `app`; in the order of the help."""


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
        found = typer.main.get_command(import_module(f"deploy.cli.{COMMANDS[cmd_name]}").app)
        if isinstance(found, TyperGroup) and cmd_name in found.commands:
            return found.commands[cmd_name]
        return found

"""The verbs of `flarefleet`, in the order of its help, and where each is; imported when it is asked for.

To import all of them takes as long as to add a site to a thousand takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

VERBS = {
    "check": "check",
    "provision": "provision",
    "up": "federation",
    "status": "federation",
    "logs": "federation",
    "down": "federation",
    "jobs": "jobs",
    "submit": "jobs",
    "watch": "jobs",
    "fetch": "jobs",
    "abort": "jobs",
    "export": "jobs",
    "console": "jobs",
    "simulate": "simulate",
    "new-job": "new_job",
    "tensorboard": "tensorboard",
    "images": "images",
    "monitor": "monitor",
    "demo": "demo",
}
"""Verb -> module of deploy.cli, whose `app` has it."""


class Verbs(TyperGroup):
    """The group of all verbs."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        names: Any = dict.fromkeys(VERBS)
        self.commands = names  # for "did you mean"

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb of that name; None if there is none."""
        if cmd_name not in VERBS:
            return None
        found = typer.main.get_command(import_module(f"deploy.cli.{VERBS[cmd_name]}").app)
        if isinstance(found, TyperGroup) and cmd_name in found.commands:
            return found.commands[cmd_name]
        return found

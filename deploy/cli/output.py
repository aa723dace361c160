"""Output of all commands. It imports rich, so the program imports it only for a command or an error."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer
from rich.console import Console

_WIDE = 10_000
"""Columns of a pipe or a file: a table there is never wrapped, whatever COLUMNS and TERM say."""

_size = None if sys.stdout.isatty() else _WIDE
out = Console(markup=False, emoji=False, highlight=False, soft_wrap=True, width=_size, height=_size)
"""Results, for scripts. Text is printed as it is: a message may quote brackets of the user."""
err = Console(markup=False, emoji=False, stderr=True, highlight=False, soft_wrap=True)
"""Progress, warnings and errors, for people."""


def print_json(document: Any) -> None:
    """Print one JSON document on stdout; NaN and infinite numbers, which JSON does not have, as null."""
    finite = json.loads(json.dumps(document, default=str), parse_constant=lambda _: None)
    typer.echo(json.dumps(finite, indent=2))

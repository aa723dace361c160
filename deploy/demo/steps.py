"""Print each step of the demo as one line with its duration."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from deploy.demo.report import Step

OnProgress = Callable[[str], None]
"""Shows the progress of a step on a terminal."""


class Steps:
    """Prints steps and records their durations."""

    def __init__(self, console: Console) -> None:
        self.done: list[Step] = []
        self._console = console

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[OnProgress]:
        """Run one step; a step that fails is printed as failed."""
        started = time.monotonic()
        with self._console.status(f"{name}: {escape(what)}") as status:
            try:
                yield lambda text: status.update(f"{name}: {escape(what)}: {escape(text)}")
            except BaseException:
                self._print(time.monotonic() - started, name, f"{what}: failed", style="red")
                raise
        done = Step(name=name, what=what, seconds=time.monotonic() - started)
        self.done.append(done)
        self._print(done.seconds, name, what)

    def note(self, text: str) -> None:
        """Print a line between steps."""
        self._console.print(f"{'':>8}  {'':<9}  {text}", markup=False)

    def _print(self, seconds: float, name: str, what: str, style: str = "") -> None:
        self._console.print(f"{seconds:6.1f} s  {name:<9}  {what}", style=style, markup=False)

"""The steps of the demo: each is one line that says what was done and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from deploy.demo.report import Step

Say = Callable[[str], None]
"""Tells how far a step is, to whoever watches a terminal."""


class Steps:
    """Runs steps, prints them and keeps their times.

    Args:
        console: where they are printed.
    """

    def __init__(self, console: Console) -> None:
        self.done: list[Step] = []
        self._console = console

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[Say]:
        """One step; a step that fails says so and lets its error pass."""
        began = time.monotonic()
        with self._console.status(f"{name}: {escape(what)}") as status:
            try:
                yield lambda text: status.update(f"{name}: {escape(what)}: {escape(text)}")
            except BaseException:
                self._print(time.monotonic() - began, name, f"{what}: did not end well", style="red")
                raise
        done = Step(name=name, what=what, seconds=time.monotonic() - began)
        self.done.append(done)
        self._print(done.seconds, name, what)

    def note(self, text: str) -> None:
        """Say something that a reader of the steps should know."""
        self._console.print(f"{'':>8}  {'':<9}  {text}", markup=False)

    def _print(self, seconds: float, name: str, what: str, style: str = "") -> None:
        self._console.print(f"{seconds:6.1f} s  {name:<9}  {what}", style=style, markup=False)

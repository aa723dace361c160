"""Keeps NVFlare's prints and log lines, which go wherever they like, off the streams that scripts and people
read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path


@contextmanager
def quiet() -> Iterator[None]:
    """NVFlare's prints go nowhere inside; so do log lines, unless the program has set logging up."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    with redirect_stdout(StringIO()):
        yield


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Work in an empty folder: NVFlare searches the working directory, with all below it, at every login."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

"""Keep NVFlare's output and file searches away from the user."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path


@contextmanager
def suppressed() -> Iterator[None]:
    """Discard what NVFlare prints, and its log lines unless the program has configured logging."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())
    with redirect_stdout(StringIO()):
        yield


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Change to an empty folder: NVFlare searches the working directory recursively at every login."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

"""What the server's part of a job keeps in the job's own folder, every file whole at every moment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MODEL_FOLDER = "best_model"
"""In a job's own folder: a model of several files, fetched as the folder that it is."""


class Journal:
    """Files of a job's result.

    Args:
        folder: the job's own folder at the server; all in it is part of the result.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_json(self, name: str, content: Any) -> None:
        """Replace the file `name` by a JSON document."""
        self.write(name, (json.dumps(content, indent=2) + "\n").encode())

    def write(self, name: str, content: bytes) -> None:
        """Replace the file `name` at once."""
        beside = self.folder / f".{name}.{os.getpid()}"
        beside.write_bytes(content)
        beside.replace(self.folder / name)

"""What the server's parent must know again after it was killed: the participants of its running jobs."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fl_app.files import PRIVATE_FILE, write_atomically
from fl_app.nvflare_internals.server_jobs import Participant

STATE_FILE = "survival.json"
"""File in the server's workspace. Only its owner can read it: it contains the tokens of the sites."""
_FORMAT = 1

_log = logging.getLogger(__name__)

Jobs = Mapping[str, tuple[Participant, ...]]


class ParentState:
    """The participants of every running job, in a file.

    Args:
        folder: workspace of the server's parent.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / STATE_FILE
        self._saved: Jobs | None = None

    def exists(self) -> bool:
        """Return whether a parent has ever saved its jobs here."""
        return self._file.exists()

    def load(self) -> Jobs:
        """Return what was saved last; nothing if the file is missing, damaged or of another format."""
        try:
            document = json.loads(self._file.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise ValueError(f"format {document['format']}")
            return {str(job): tuple(map(_participant, sites)) for job, sites in document["jobs"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            _log.error("%s is not usable, running jobs start over: %s", self._file, error)
            return {}

    def save(self, jobs: Jobs) -> None:
        """Replace the file if anything has changed.

        Raises:
            OSError: the file cannot be written; its last content remains.
        """
        if jobs == self._saved:
            return
        entries = {job: [vars(one) for one in participants] for job, participants in jobs.items()}
        content = json.dumps({"format": _FORMAT, "jobs": entries})
        write_atomically(self._file, content.encode(), PRIVATE_FILE)
        self._saved = jobs


def _participant(entry: Any) -> Participant:
    if not isinstance(entry["props"], dict):
        raise TypeError(f"no properties of {entry['name']}")
    return Participant(str(entry["name"]), str(entry["token"]), entry["props"])

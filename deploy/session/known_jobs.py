"""Remember the jobs that a session has seen, so that a shell can complete their ids without a login."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from deploy.checkout import CACHE
from fl_app.files import PRIVATE_FILE, write_atomically

MOST = 100
"""Jobs that are remembered for each federation; the newest are kept."""


def remember_jobs(source: Path, jobs: Mapping[str, str]) -> None:
    """Add jobs of a federation to its file. A file that cannot be written is ignored.

    Args:
        source: the startup kit or the project.yml that the session was opened with.
        jobs: id -> name and status, oldest first.
    """
    if not jobs:
        return
    earlier = {job_id: text for job_id, text in known_jobs(source).items() if job_id not in jobs}
    newest = list({**earlier, **jobs}.items())[-MOST:]
    with contextlib.suppress(OSError):
        file = _file(source)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(dict(newest)).encode(), PRIVATE_FILE)


def known_jobs(source: Path) -> dict[str, str]:
    """Return name and status of the jobs that sessions with this kit or project.yml have seen."""
    try:
        found = json.loads(_file(source).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(job_id): str(text) for job_id, text in found.items()} if isinstance(found, dict) else {}


def _file(source: Path) -> Path:
    key = sha256(str(source.resolve()).encode()).hexdigest()[:16]
    return CACHE / "jobs" / f"{key}.json"

"""Find the job that a user means: by its id, by the beginning of its id, or the latest one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deploy.errors import InputError

if TYPE_CHECKING:
    from deploy.session.session import AdminSession, Job

LATEST = "latest"
SHORT_ID = 8
"""Characters of an id that tell jobs apart in tables and names of folders."""
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PART = re.compile(r"[0-9a-f][0-9a-f-]*")
_MAX_CANDIDATES = 8


def is_job(given: str) -> bool:
    """Return whether a text may stand for a job, and not for a server or site."""
    return given == LATEST or _PART.fullmatch(given.lower()) is not None


def resolve_job(session: AdminSession, given: str) -> str:
    """Return the id of the job that the user means. A complete id needs no request.

    Raises:
        InputError: there is no such job, or there are several; the message lists them.
    """
    return given.lower() if _ID.fullmatch(given.lower()) else choose_job(session.jobs(), given).id


def choose_job(jobs: Sequence[Job], given: str) -> Job:
    """Return the job that the user means, of these jobs, oldest first.

    Raises:
        InputError: there is no such job, or there are several; the message lists them.
    """
    if given == LATEST:
        if not jobs:
            raise InputError("there is no job on this server yet. Submit one: flarefleet submit JOB")
        return jobs[-1]
    prefix = given.strip().lower()
    found = [job for job in jobs if prefix and job.id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"there is no job {given} on this server. List the jobs: flarefleet jobs")
    newest = list(reversed(found))
    lines = [f"  {job.id}  {job.name}  {job.status}" for job in newest[:_MAX_CANDIDATES]]
    if len(found) > _MAX_CANDIDATES:
        lines.append(f"  and {len(found) - _MAX_CANDIDATES} more")
    raise InputError(
        "\n".join([f"{len(found)} jobs have an id that begins with {given}; write more of it:", *lines])
    )

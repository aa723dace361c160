"""Who may push to a parent: each of its jobs, as itself, by a token that only this parent can make."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from fl_app.contract import ENV_PUSH_TOKEN, ENV_PUSH_URL

_SCHEME = "Bearer"
_LONGEST_HEADER = 512
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104


class Access:
    """Makes and checks the tokens of one parent's jobs: JOB-ID.HMAC.

    The key is made here and never leaves this process; a parent that starts anew has a new one.

    Args:
        url: where its jobs push.
        granted: told the id of each job that gets a token.
    """

    def __init__(self, url: str, granted: Callable[[str], None] = lambda job_id: None) -> None:
        self.url = url
        self._granted = granted
        self._key = secrets.token_bytes(32)

    def environment(self, job_id: str) -> dict[str, str]:
        """What a job's process or pod needs in its environment to push."""
        self._granted(job_id)
        return {ENV_PUSH_URL: self.url, ENV_PUSH_TOKEN: self.token(job_id)}

    def token(self, job_id: str) -> str:
        """The token of a job."""
        return f"{job_id}.{hmac.new(self._key, job_id.encode(), hashlib.sha256).hexdigest()}"

    def job_of(self, authorization: str) -> str | None:
        """The id of the job that an Authorization header is of; None if it is of nobody."""
        if len(authorization) > _LONGEST_HEADER:
            return None
        scheme, _, token = authorization.partition(" ")
        job_id = token.rpartition(".")[0]
        if scheme != _SCHEME or not job_id:
            return None
        return job_id if hmac.compare_digest(token.encode(), self.token(job_id).encode()) else None


def authorization(token: str) -> str:
    """The Authorization header of a token."""
    return f"{_SCHEME} {token}"


def push_url(listens_on: str, port: int, name: str | None) -> str:
    """Where jobs push to a parent that listens on an address, or that they reach by another name."""
    host = name or ("127.0.0.1" if listens_on in _EVERYWHERE else listens_on)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/push"


_access: Access | None = None


def open_access(url: str, granted: Callable[[str], None] = lambda job_id: None) -> Access:
    """Begin this process's access anew: what was handed out before is worth nothing from now on."""
    global _access  # noqa: PLW0603 - a process is one parent
    _access = Access(url, granted)
    return _access


def push_environment(job_id: str) -> dict[str, str]:
    """What a job's process or pod needs in its environment to push; nothing without telemetry."""
    if _access is None:
        return {}
    return _access.environment(job_id)

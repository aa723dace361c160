"""Push tokens: a parent gives each of its jobs a token, with which the job pushes to the parent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from fl_app.contract import ENV_PUSH_TOKEN, ENV_PUSH_URL

_MAX_HEADER = 512
_ALL_INTERFACES = ("", "0.0.0.0", "::")  # noqa: S104


class PushTokens:
    """Create and verify the tokens of one parent's jobs: JOB-ID.HMAC.

    The key never leaves this process. A restarted parent has a new key, so old tokens become invalid.

    Args:
        url: URL to which the jobs push.
        granted: called with the id of each job that gets a token.
    """

    def __init__(self, url: str, granted: Callable[[str], None]) -> None:
        self.url = url
        self._granted = granted
        self._key = secrets.token_bytes(32)

    def environment(self, job_id: str) -> dict[str, str]:
        """Return the environment variables with which a job's process or pod can push."""
        self._granted(job_id)
        return {ENV_PUSH_URL: self.url, ENV_PUSH_TOKEN: self._token(job_id)}

    def job_of(self, authorization: str) -> str | None:
        """Return the id of the job that sent an Authorization header; None if the token is invalid."""
        if len(authorization) > _MAX_HEADER:
            return None
        scheme, _, token = authorization.partition(" ")
        job_id = token.rpartition(".")[0]
        if scheme != "Bearer" or not job_id:
            return None
        return job_id if hmac.compare_digest(token.encode(), self._token(job_id).encode()) else None

    def _token(self, job_id: str) -> str:
        return f"{job_id}.{hmac.new(self._key, job_id.encode(), hashlib.sha256).hexdigest()}"


def push_url(listen_address: str, port: int, name: str | None) -> str:
    """Return the URL to which jobs push, by `name` or else by the address on which the parent listens."""
    host = name or ("127.0.0.1" if listen_address in _ALL_INTERFACES else listen_address)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/push"


_tokens: PushTokens | None = None


def new_push_tokens(url: str, granted: Callable[[str], None] = lambda job_id: None) -> PushTokens:
    """Replace this process's tokens; the old ones become invalid."""
    global _tokens  # noqa: PLW0603 - a process is one parent
    _tokens = PushTokens(url, granted)
    return _tokens


def push_environment(job_id: str) -> dict[str, str]:
    """Return the environment variables with which a job can push; empty if telemetry is off."""
    if _tokens is None:
        return {}
    return _tokens.environment(job_id)

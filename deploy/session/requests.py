"""Requests to the server, repeated while it does not answer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from deploy.errors import Failed, InputError
from deploy.session.kit import AdminKit
from deploy.session.nvflare_output import suppressed

RECONNECT_TIMEOUT = 60.0
"""Seconds for which a request is repeated if the server does not answer."""
NOTICE_SECONDS = 5.0
"""Seconds without an answer after which the user is told."""
MAX_PAUSE = 2.0
"""Seconds between two attempts."""

T = TypeVar("T")


class ServerFailed(Failed):
    """The server could not do what was asked; the message has its reason."""


class ServerUnreachable(ServerFailed):
    """The server does not answer; a later attempt may succeed."""


class PermissionDenied(Failed):
    """The server denied the request to this administrator."""


class ServerRequests:
    """A connection to the server. `log_in` is called again if it is lost."""

    def __init__(self, kit: AdminKit, log_in: Callable[[], Any]) -> None:
        self.api: Any = log_in()
        self.patience = RECONNECT_TIMEOUT
        """Seconds for which a request is repeated."""
        self.notify: Callable[[str], None] = _ignore
        """Called with a sentence for the user once an outage lasts for NOTICE_SECONDS, and at its end."""
        self._kit = kit
        self._log_in = log_in
        self._is_outage = False

    def close(self) -> None:
        """Log out. Otherwise the interpreter hangs at exit."""
        if self.api is not None:
            api, self.api = self.api, None
            with suppressed():
                try:
                    api.close()
                except Exception:  # the server may be gone
                    api.api.close()

    def send(self, request: Callable[[Any], T], job_id: str = "", timeout: float = math.inf) -> T:
        """Send a request; reconnect and repeat it while the server does not answer.

        Args:
            request: receives NVFlare's session.
            job_id: the job that it is about, for messages.
            timeout: seconds after which the server is given up, if this is sooner than `patience`.

        Raises:
            InputError: there is no such job.
            PermissionDenied: the administrator may not do that.
            ServerFailed: the server could not do it.
            Failed: the server rejected the job, or did not answer in time.
        """
        from nvflare.fuel.flare_api.api_spec import (
            AuthorizationError,
            InternalError,
            InvalidJobDefinition,
            JobNotFound,
        )

        retrying = Retrying(
            retry=retry_if_exception(is_lost),
            wait=wait_exponential(0.2, max=MAX_PAUSE),
            stop=stop_after_delay(min(self.patience, timeout)),
            before_sleep=self._lost,
            reraise=True,
        )
        try:
            with suppressed():
                return retrying(lambda: self._answer(request))
        except JobNotFound as error:
            raise InputError(
                f"there is no job {job_id} on this server. List the jobs: flarefleet jobs"
            ) from error
        except AuthorizationError as error:
            raise PermissionDenied(_denied(self._kit.user, job_id, str(error))) from error
        except InvalidJobDefinition as error:
            raise Failed(f"the server rejected the job: {error}") from error
        except InternalError as error:
            raise ServerFailed(f"the server at {self._kit.address} failed: {error}") from error
        except Exception as error:
            if is_lost(error):
                raise ServerFailed(
                    f"lost the connection to the server at {self._kit.address}: {error}"
                ) from error
            raise

    def _lost(self, attempt: RetryCallState) -> None:
        """Close the connection, so that the next attempt logs in again; announce an outage."""
        self.close()
        if not self._is_outage and (attempt.seconds_since_start or 0.0) > NOTICE_SECONDS:
            self._is_outage = True
            self.notify("the server does not answer; trying again")

    def _answer(self, request: Callable[[Any], T]) -> T:
        if self.api is None:
            self.api = self._log_in()
        answer = request(self.api)
        if self._is_outage:
            self._is_outage = False
            self.notify("the server answers again")
        return answer


def _denied(user: str, job_id: str, error: str) -> str:
    """Return a message for NVFlare's `user not authorized for the action 'COMMAND ARGUMENTS: ...'`."""
    command = re.search(r"the action '(\w+)", error)
    action = f" ({command[1]})" if command else ""
    if not job_id:
        return (
            f"the server denied the request of {user}{action}: the role of this administrator does not allow "
            "it. Ask the operator of the server"
        )
    return (
        f"the server denied the request of {user} for the job {job_id}{action}: only its submitter and "
        "administrators with the role project_admin may do that. Show who submitted it: flarefleet jobs"
    )


def is_lost(error: BaseException) -> bool:
    """Return whether an error means that the server does not answer, or has restarted."""
    from nvflare.fuel.flare_api.api_spec import NoConnection, NoReply, SessionClosed, SessionExpired

    return isinstance(error, NoConnection | NoReply | SessionClosed | SessionExpired | ServerUnreachable)


def _ignore(text: str) -> None:
    """Do not show outages."""

"""Open an administrator's session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from deploy.errors import Failed, FlarefleetError
from deploy.session.kit import AdminKit
from deploy.session.nvflare_output import suppressed, working_in
from deploy.session.requests import ServerUnreachable
from deploy.session.session import AdminSession

LOGIN_TIMEOUT = 15.0
"""Seconds."""
_COMMUNICATION_ERROR = "Communication Error"
"""NVFlare's answer if the server could not answer a command."""


@contextlib.contextmanager
def open_session(kit: AdminKit) -> Iterator[AdminSession]:
    """Log in with `kit`, and log out at the end of the block.

    Raises:
        Failed: the server does not answer or rejects the login, or the certificate is invalid.
    """
    kit.check()
    with kit.borrowed() as folder, working_in(folder):
        session = AdminSession(kit, lambda: _log_in(kit, str(folder)))
        try:
            yield session
        finally:
            session.close()


def _log_in(kit: AdminKit, folder: str) -> Any:
    from nvflare.apis.fl_exception import FLCommunicationError
    from nvflare.fuel.flare_api.api_spec import AuthenticationError, InternalError, NoConnection
    from nvflare.fuel.flare_api.flare_api import new_secure_session

    from fl_app.nvflare_internals.pauses import log_in_soon

    log_in_soon()
    try:
        with suppressed():
            return new_secure_session(kit.user, folder, timeout=LOGIN_TIMEOUT)
    except (NoConnection, FLCommunicationError) as error:
        raise ServerUnreachable(
            f"the server at {kit.address} did not accept the login of {kit.user}: {error}. Usually it is "
            "still starting, or belongs to another federation than this certificate."
        ) from error
    except (AuthenticationError, InternalError) as error:
        if _COMMUNICATION_ERROR in str(error):  # its command of the login raised, not the authentication
            raise ServerUnreachable(
                f"the server at {kit.address} could not process the login of {kit.user}: {error}"
            ) from error
        raise Failed(f"the server at {kit.address} rejected the login of {kit.user}: {error}") from error
    except FlarefleetError:
        raise
    except Exception as error:  # NVFlare raises a bare Exception for a wrong certificate
        raise Failed(f"cannot log in to {kit.address} as {kit.user}: {error}") from error

"""Opens an administrator's session, and says in clear words why it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from deploy.errors import Failed, FlarefleetError
from deploy.session.kit import AdminKit
from deploy.session.quiet import quiet, working_in
from deploy.session.session import AdminSession, NotReached

LOGIN_TIMEOUT = 15.0
"""Seconds in which a server that listens must have accepted the login."""


@contextlib.contextmanager
def open_session(kit: AdminKit) -> Iterator[AdminSession]:
    """Log in with `kit`, and log out in the end: one login a command.

    Raises:
        Failed: no server, a certificate that is not valid, or a server that refuses it.
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

    try:
        with quiet():
            return new_secure_session(kit.user, folder, timeout=LOGIN_TIMEOUT)
    except (NoConnection, FLCommunicationError) as error:
        raise NotReached(
            f"the server at {kit.address} does not let {kit.user} in: {error}. Usually its certificate is "
            "of another federation, or the server is still starting."
        ) from error
    except (AuthenticationError, InternalError) as error:
        raise Failed(f"the server at {kit.address} refuses {kit.user}: {error}") from error
    except FlarefleetError:
        raise
    except Exception as error:  # NVFlare raises bare ones for a wrong certificate
        raise Failed(f"cannot log in to {kit.address} as {kit.user}: {error}") from error

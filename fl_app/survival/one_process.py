"""One process with the kit of a site at a time: the server refuses a second one while the first is alive.

NVFlare accepts the second, and the two disconnect each other from then on. Each workspace has an identity,
which a site sends with its registration and its heartbeats: a parent that is started again in the same
workspace replaces its predecessor at once, and one in another workspace when the first is silent.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from pathlib import Path

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext

from fl_app.files import PRIVATE_FILE, write_atomically
from fl_app.nvflare_internals.parents import SiteParent, is_duplicate_site, parent_of
from fl_app.nvflare_internals.site_registration import refuse_registration, registration
from fl_app.survival.limits import LATE_SECONDS
from fl_app.survival.stopping import withdraw

IDENTITY_FILE = ".identity"
IDENTITY_KEY = "flarefleet_workspace"
"""Key of NVFlare's context with the identity of a site's workspace."""

_log = logging.getLogger(__name__)


class OneProcessPerSite:
    """Refuse a second process with the kit of a site. Part of the server's parent.

    Events: CLIENT_REGISTER_RECEIVED refuses it, CLIENT_REGISTER_PROCESSED and CLIENT_HEARTBEAT_PROCESSED keep
    the identity of the workspace that has the registration.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        """Token of the registration and identity of the workspace, by name of the site."""

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type not in (
            EventType.CLIENT_REGISTER_RECEIVED,
            EventType.CLIENT_REGISTER_PROCESSED,
            EventType.CLIENT_HEARTBEAT_PROCESSED,
        ):
            return
        peer = fl_ctx.get_peer_context()
        identity = peer.get_prop(IDENTITY_KEY) if peer else None
        if not identity:  # NVFlare without Flarefleet
            return
        site = str(peer.get_identity_name())
        current = registration(fl_ctx.get_engine(), site)
        if current is None:
            return
        token, last_contact = current
        known = self._known.get(site)
        if event_type != EventType.CLIENT_REGISTER_RECEIVED:
            if known is None or known[0] != token:
                self._known[site] = token, str(identity)
            return
        age = time.time() - last_contact
        if known is not None and known[0] == token and known[1] != identity and age < LATE_SECONDS:
            refuse_registration(
                fl_ctx, f"another process with the kit of {site} is registered, last contact {age:.0f} s ago"
            )


class SiteIdentity:
    """Send the identity of the workspace, and end if another process has the registration. Part of a site.

    Events: BEFORE_CLIENT_REGISTER adds the identity, AFTER_CLIENT_REGISTER follows the heartbeats.
    """

    def handle(self, event_type: str, fl_ctx: FLContext) -> None:
        """Handle an event of NVFlare."""
        if event_type == EventType.BEFORE_CLIENT_REGISTER:
            file = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir()) / IDENTITY_FILE
            fl_ctx.set_prop(IDENTITY_KEY, workspace_identity(file), private=False, sticky=True)
        elif event_type == EventType.AFTER_CLIENT_REGISTER:
            parent = parent_of(fl_ctx)
            assert isinstance(parent, SiteParent)
            root = Path(fl_ctx.get_prop(FLContextKey.WORKSPACE_OBJECT).get_root_dir())

            def refused(reason: str) -> None:
                if is_duplicate_site(reason):
                    # With the same identity, two copies of one workspace would replace each other for ever.
                    (root / IDENTITY_FILE).unlink(missing_ok=True)
                    withdraw(reason)

            parent.follow_heartbeats(lambda: None, refused)


def workspace_identity(file: Path) -> str:
    """Return the identity in `file`; write a new one if there is none."""
    with contextlib.suppress(OSError, ValueError):
        return uuid.UUID(file.read_text(encoding="ascii").strip()).hex
    identity = uuid.uuid4().hex
    try:
        write_atomically(file, identity.encode(), PRIVATE_FILE)
    except OSError as error:
        _log.warning("the identity of the workspace cannot be written: %s", error)
    return identity

"""An administrator's session with a running federation: submit, watch, fetch, abort, over NVFlare's own admin
protocol."""

from deploy.session.connection import open_session
from deploy.session.kit import AdminKit
from deploy.session.session import AdminSession, Job

__all__ = ["AdminKit", "AdminSession", "Job", "open_session"]

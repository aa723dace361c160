"""An administrator's session with a running federation, over NVFlare's admin protocol."""

from deploy.session.connection import open_session
from deploy.session.kit import AdminKit
from deploy.session.session import AdminSession, Job

__all__ = ["AdminKit", "AdminSession", "Job", "open_session"]

"""Let a job process use the context of homomorphic encryption; see `fl_app.startup.encryption_context`."""

from __future__ import annotations

from pathlib import Path

from nvflare.fuel.sec.security_content_service import (
    LoadResult,
    SecurityContentManager,
    SecurityContentService,
)

from fl_app.contract import CONTEXT_SIGNATURE


class SignedContext(SecurityContentManager):
    """Verify the context, and leave all other files to mutual TLS, as NVFlare does without HEBuilder."""

    def __init__(self, startup: Path) -> None:
        super().__init__(str(startup))
        self._signed = SecurityContentManager(str(startup), CONTEXT_SIGNATURE)

    def load_content(self, file_under_verification: str) -> tuple[bytes | None, LoadResult]:
        """Return the content of a file of startup/, and OK if it is signed."""
        content, result = self._signed.load_content(file_under_verification)
        return content, result


def accept_context(workspace: Path) -> None:
    """Let NVFlare use the context in the workspace, if it has one. Call it before NVFlare's main function."""
    startup = workspace / "startup"
    if (startup / CONTEXT_SIGNATURE).exists():
        SecurityContentService.content_folder = str(startup)
        SecurityContentService.security_content_manager = SignedContext(startup)

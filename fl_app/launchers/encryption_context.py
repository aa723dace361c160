"""Let a job process use the context of homomorphic encryption; see `fl_app.startup.encryption_context`."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from nvflare.fuel.sec.security_content_service import (
    LoadResult,
    SecurityContentManager,
    SecurityContentService,
)

from fl_app.contract import CONTEXT_SIGNATURE

PACKAGE = "tenseal"
MISSING = (
    f"homomorphic encryption requires the package {PACKAGE}, which is not installed here. Images have it if "
    "project.yml has NVFlare's HEBuilder, or extras: [he] under deployment.image; elsewhere: pip install "
    f"{PACKAGE}"
)


class SignedContext(SecurityContentManager):
    """Verify the context, and leave all other files to mutual TLS, as NVFlare does without HEBuilder."""

    def __init__(self, startup: Path) -> None:
        super().__init__(str(startup))
        self._signed = SecurityContentManager(str(startup), CONTEXT_SIGNATURE)

    def load_content(self, file_under_verification: str) -> tuple[bytes | None, LoadResult]:
        """Return the content of a file of startup/, and OK if it is signed."""
        content, result = self._signed.load_content(file_under_verification)
        return content, result


class MissingPackage(MetaPathFinder):
    """Say what to install if no other finder finds tenseal."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Raise the error of an import of tenseal, and leave all other modules to Python.

        Raises:
            ModuleNotFoundError: the module is tenseal.
        """
        if fullname == PACKAGE:
            raise ModuleNotFoundError(MISSING, name=PACKAGE)


def explain_missing_package() -> None:
    """Let an import of tenseal fail with what to do, in jobs of any recipe that encrypts."""
    if not any(isinstance(finder, MissingPackage) for finder in sys.meta_path):
        sys.meta_path.append(MissingPackage())


def accept_context(workspace: Path) -> None:
    """Let NVFlare use the context in the workspace, if it has one. Call it before NVFlare's main function."""
    startup = workspace / "startup"
    if (startup / CONTEXT_SIGNATURE).exists():
        SecurityContentService.content_folder = str(startup)
        SecurityContentService.security_content_manager = SignedContext(startup)

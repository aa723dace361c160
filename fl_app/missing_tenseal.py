"""Explain an import of tenseal that fails: in a job process, and where a job is exported."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from typing import Any

PACKAGE = "tenseal"
MISSING = (
    f"homomorphic encryption requires the package {PACKAGE}, which is not installed here. Images have it if "
    "project.yml has NVFlare's HEBuilder, or extras: [he] under deployment.image; elsewhere: pip install "
    f"{PACKAGE}"
)


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

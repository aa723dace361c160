"""The supported Flower versions, and the environment variables of Flower's processes."""

from __future__ import annotations

from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

SUPPORTED = SpecifierSet(">=1.27,<1.35")
"""Versions that NVFlare 2.9.0's Flower integration works with."""
REMEDY = (
    f"Run the server and every site with flwr{SUPPORTED}. In containers, use images with extras: [flower] "
    "(deployment.image of project.yml); as processes, use a separate environment, as described in "
    "fl_app/jobs/flower_digits/README.md."
)


def version_error(installed: str | None) -> str:
    """Return why this version of Flower is not supported; empty if it is."""
    if installed is None:
        return f"Flower is not installed here; flwr{SUPPORTED} is needed"
    try:
        is_supported = SUPPORTED.contains(installed, prereleases=False)
    except InvalidVersion:
        is_supported = False
    if is_supported:
        return ""
    return f"flwr {installed} is installed here, but NVFlare supports only flwr{SUPPORTED}"


def flower_environment(folder: Path) -> dict[str, str]:
    """Return variables that keep Flower in the job's folder and disable telemetry, updates and installs."""
    return {
        "FLWR_HOME": str(folder / "flwr_home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }

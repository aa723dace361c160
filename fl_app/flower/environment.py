"""Which Flower there must be, and the environment that its processes run in."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

SUPPORTED = SpecifierSet(">=1.27,<1.35")
"""What NVFlare 2.9.0's bridge works with."""
REMEDY = (
    f"Run the server and every site with flwr{SUPPORTED}: in containers from images with extras: [flower] "
    "(deployment.image of project.yml), as processes from an environment of their own: "
    "fl_app/jobs/flower_digits/README.md says how."
)


def installed() -> str | None:
    """The installed Flower's version; None without one."""
    try:
        return version("flwr")
    except PackageNotFoundError:
        return None


def what_is_wrong(found: str | None) -> str:
    """Why this Flower is of no use, in words; empty if it is.

    Args:
        found: its version, as `installed` gives it.
    """
    if found is None:
        return f"Flower is not installed here; flwr{SUPPORTED} is needed"
    try:
        usable = SUPPORTED.contains(found, prereleases=False)
    except InvalidVersion:
        usable = False
    return "" if usable else f"flwr {found} is installed here, and NVFlare works with flwr{SUPPORTED} alone"


def environment(folder: Path) -> dict[str, str]:
    """What Flower's processes get: they keep to the job's folder, install nothing and report to nobody.

    Args:
        folder: the job's own folder at this place.
    """
    return {
        "FLWR_HOME": str(folder / "flwr_home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }

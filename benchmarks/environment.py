"""The environment of timed commands."""

from __future__ import annotations

import os

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""With this variable, which some developers set, each run compiles Flarefleet, but not NVFlare."""


def command_environment() -> dict[str, str]:
    """Return this environment without the variable, because users do not set it."""
    return {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}

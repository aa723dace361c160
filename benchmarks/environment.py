"""The environment of what is timed: a user's."""

from __future__ import annotations

import os

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
"""Set on some machines of developers: each run would compile what is installed as editable, ours alone."""


def users_environment() -> dict[str, str]:
    """This environment, in which Python keeps its bytecode as it does for users."""
    return {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}

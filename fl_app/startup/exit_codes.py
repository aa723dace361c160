"""Exit codes of a parent: one code and one line of text for each reason. docs/operator.md explains them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of a parent, besides 0 after a request to stop and 128 + n after signal n."""

    SETTINGS = 10
    KIT = 11
    VERSION = 12
    KEY = 13
    CERTIFICATE = 14
    WORKSPACE = 15
    SPACE = 16
    IN_USE = 17
    PORT = 18
    CONFIGURATION = 19
    SERVER_NAME = 20
    SERVER_UNREACHABLE = 21
    SERVER_CERTIFICATE = 22
    NO_ANSWER = 23
    REFUSED = 24
    INCOMPATIBLE = 25
    NVFLARE = 30
    NVFLARE_ENDED = 31
    """NVFlare exited by itself after the parent had been ready."""


class StartupError(Exception):
    """A parent cannot start, or NVFlare exited by itself.

    Args:
        exit_code: exit code of the parent.
        text: what is wrong, where, and what to do; whitespace is collapsed to one line.
    """

    def __init__(self, exit_code: Exit, text: str) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = exit_code

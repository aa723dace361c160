"""Exit codes of a parent: one code, one line of text and one page in docs/exit-codes for each reason."""

from __future__ import annotations

import contextlib
import sys
from enum import IntEnum
from pathlib import Path


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
    DUPLICATE = 26
    """Another process with this kit is registered."""
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


def report(error: StartupError, termination_log: Path | None = None) -> int:
    """Print the reason on one line to stderr and to the orchestrator's file; return the exit code."""
    line = f"flarefleet: cannot run: {error} (exit code {int(error.exit_code)}, {error.exit_code.name})"
    print(line, file=sys.stderr, flush=True)
    if termination_log is not None:
        with contextlib.suppress(OSError):
            termination_log.write_text(line + "\n", encoding="utf-8")
    return int(error.exit_code)

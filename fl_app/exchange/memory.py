"""The memory that is free for a model that arrives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

WAIT_SECONDS = 10.0
"""Time for which a download waits for memory; its sender gives up after five minutes without a request."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Memory:
    """The memory of this machine, or of this container.

    Args:
        proc, cgroup: the kernel's file systems.
    """

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def free(self) -> int | None:
        """Return the bytes that can be allocated now; None on systems that do not tell."""
        machine = _numbers(self.proc / "meminfo")
        if (available := machine.get("MemAvailable:")) is None:
            return None
        free = 1024 * (available + machine.get("SwapFree:", 0))
        limit, used = (_number(self.cgroup / name) for name in ("memory.max", "memory.current"))
        if limit is not None and used is not None:
            cached = _numbers(self.cgroup / "memory.stat")
            cache = cached.get("inactive_file", 0) + cached.get("active_file", 0)
            free = min(free, max(0, limit - used + cache))
        return free

    def require(self, size: int) -> None:
        """Wait until a model fits; others may leave the memory.

        Args:
            size: its bytes.

        Raises:
            ModelTooLarge: fewer bytes are free after WAIT_SECONDS.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while (free := self.free()) is not None and size > free and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if free is not None and size > free:
            raise ModelTooLarge(f"a model of {_gigabytes(size)} does not fit: {_gigabytes(free)} are free")


class ModelTooLarge(ValueError):  # noqa: N818 - an outcome that users read
    """A model that does not fit into the free memory."""


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # `max` without a limit


def _numbers(file: Path) -> dict[str, int]:
    """Return the lines `NAME NUMBER ...` of a file."""
    try:
        lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}

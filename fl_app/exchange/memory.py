"""The memory in which a model that arrives must fit.

Only what can never fit is refused. Memory that is in use may be free before the model needs it, and the C
library keeps freed memory that it uses again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """The memory of this machine, or of this container.

    Args:
        proc, cgroup: the kernel's file systems.
    """

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def limit(self) -> int | None:
        """Return the bytes that this process can have at most; None on systems that do not tell."""
        machine = _kibibytes(self.proc / "meminfo")
        if (total := machine.get("MemTotal:")) is None:
            return None
        limit = 1024 * (total + machine.get("SwapTotal:", 0))
        of_container = _number(self.cgroup / "memory.max")
        return limit if of_container is None else min(limit, of_container)

    def require(self, size: int) -> None:
        """Check that a model can fit.

        Args:
            size: its bytes.

        Raises:
            ModelTooLarge: it is larger than the memory.
        """
        limit = self.limit()
        if limit is not None and size > limit:
            raise ModelTooLarge(
                f"a model of {_gigabytes(size)} does not fit into the memory of {_gigabytes(limit)}"
            )


class ModelTooLarge(ValueError):  # noqa: N818 - an outcome that users read
    """A model that does not fit into the memory."""


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # `max` without a limit


def _kibibytes(file: Path) -> dict[str, int]:
    """Return the lines `NAME NUMBER kB` of a file."""
    try:
        lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}

"""The memory limit of this process's container or machine, and processes that the kernel killed at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 62
"""cgroup v1 writes a limit of this size if there is none."""


@dataclass
class MemoryKills:
    """Number of processes that the kernel has killed for their memory.

    Args:
        proc, cgroups: the kernel's file systems.
    """

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")

    def count(self) -> tuple[int, int]:
        """Return the number of kills at the limit of this cgroup, and of kills on the whole machine."""
        events, _ = self._files()
        return _counter(events, "oom_kill"), _counter(self.proc / "vmstat", "oom_kill")

    def limit(self) -> int | None:
        """Return the memory limit of this cgroup in bytes; None if there is none."""
        _, file = self._files()
        text = _read(file).strip()
        return int(text) if text.isdecimal() and int(text) < _UNLIMITED else None

    def _files(self) -> tuple[Path, Path]:
        """Return the file with the number of kills and the file with the limit, of cgroup v2 or v1."""
        own = {}
        for line in _read(self.proc / "self" / "cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            own.update(dict.fromkeys(controllers.split(","), path.lstrip("/")))
        # In a container, its own cgroup is the root of the file system that it sees.
        for folder in (self.cgroups / own.get("", ""), self.cgroups):
            if (folder / "memory.events").exists():
                return folder / "memory.events", folder / "memory.max"
        version_1 = self.cgroups / "memory"
        folder = version_1 / own.get("memory", "")
        if not folder.exists():
            folder = version_1
        return folder / "memory.oom_control", folder / "memory.limit_in_bytes"


def out_of_memory(limit: int | None, site: str, *, in_pod: bool = False) -> str:
    """Return how a process ended that the kernel killed at its memory limit, and the remedy.

    Args:
        limit: the limit in bytes; None if it is unknown.
        site: name of the site or server in project.yml.
        in_pod: whether the process ran in a job pod.
    """
    at = f" at {_size(limit)}" if limit is not None else ""
    remedy = f"raise deployment.sites.{site}.resources.limits.memory"
    if in_pod:
        remedy = "raise jobPods.resources.limits.memory in its values, or memory in the job's resource_spec"
    return f"was killed by the kernel: out of memory{at}; {remedy}"


def _size(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def _counter(file: Path, name: str) -> int:
    for line in _read(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""

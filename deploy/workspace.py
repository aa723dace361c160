"""Folders of a federation: workspace/PROJECT/{state,kits,release,removed,run,demo,monitor}.

Each folder has one owner: provisioning owns `state`, `kits`, `release` and `removed`; each runtime owns
`run/RUNTIME`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIT_FOLDERS = ("startup", "local")
"""The folders of a startup kit."""


@dataclass(frozen=True)
class Workspace:
    """The folder of one federation: workspace/PROJECT."""

    root: Path

    @property
    def state(self) -> Path:
        """The certificate authority and every key: mode 0700, never distributed."""
        return self.root / "state"

    @property
    def kits(self) -> Path:
        """The startup kits, one folder per participant."""
        return self.root / "kits"

    @property
    def release(self) -> Path:
        """One folder per server or site with everything its operator needs, and nothing of other sites."""
        return self.root / "release"

    @property
    def removed(self) -> Path:
        """Kits and release folders of participants that project.yml no longer names."""
        return self.root / "removed"

    @property
    def demo(self) -> Path:
        """The results of `flarefleet demo`, one folder per run."""
        return self.root / "demo"

    @property
    def monitor(self) -> Path:
        """Settings, logs and data of `flarefleet monitor`."""
        return self.root / "monitor"

    @property
    def runs(self) -> Path:
        """The state of the runtimes, one folder per runtime."""
        return self.root / "run"

    def kit(self, name: str) -> Path:
        """Return the startup kit of the participant `name`."""
        return self.kits / name

    def run(self, runtime: str) -> Path:
        """Return the state folder of a runtime: process, docker or kubernetes."""
        return self.runs / runtime

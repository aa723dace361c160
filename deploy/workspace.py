"""Folders of a federation: workspace/PROJECT/{state,kits,release,removed,run,demo,monitor}.

Each folder has one owner: provisioning owns `state`, `kits`, `release` and `removed`; each runtime owns
`run/RUNTIME`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIT_FOLDERS = ("startup", "local")
"""The folders of a startup kit."""


@dataclass
class Workspace:
    """The folder of one federation: workspace/PROJECT."""

    root: Path

    def __post_init__(self) -> None:
        self.state = self.root / "state"
        """The certificate authority and every key: mode 0700, never distributed."""
        self.kits = self.root / "kits"
        """The startup kits, one folder per participant."""
        self.release = self.root / "release"
        """One folder per server or site with everything its operator needs, and nothing of other sites."""
        self.removed = self.root / "removed"
        """Kits and release folders of participants that project.yml no longer names."""
        self.demo = self.root / "demo"
        """The results of `flarefleet demo`, one folder per run."""
        self.monitor = self.root / "monitor"
        """Settings, logs and data of `flarefleet monitor`."""
        self.runs = self.root / "run"
        """The state of the runtimes, one folder per runtime."""

    def kit(self, name: str) -> Path:
        """Return the startup kit of the participant `name`."""
        return self.kits / name

    def run(self, runtime: str) -> Path:
        """Return the state folder of a runtime: process, docker or kubernetes."""
        return self.runs / runtime

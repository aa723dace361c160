"""Where a federation's files lie: workspace/PROJECT/{state,kits,release,removed,run}.

Each folder has one owner: `state`, `kits`, `release` and `removed` are provisioning's, `run/RUNTIME` is that
runtime's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folder of one federation.

    Args:
        root: workspace/PROJECT.
    """

    root: Path

    @property
    def state(self) -> Path:
        """The certificate authority and every key: 0700, never to be handed out."""
        return self.root / "state"

    @property
    def kits(self) -> Path:
        """One startup kit a participant, as NVFlare makes them."""
        return self.root / "kits"

    @property
    def release(self) -> Path:
        """One folder a site: all that its operator needs, and nothing of any other."""
        return self.root / "release"

    @property
    def removed(self) -> Path:
        """Kits and release folders of participants that project.yml no longer names."""
        return self.root / "removed"

    @property
    def demo(self) -> Path:
        """What `flarefleet demo` leaves: one folder of results a run."""
        return self.root / "demo"

    @property
    def monitor(self) -> Path:
        """What `flarefleet monitor` keeps: settings, logs, and what Prometheus has seen."""
        return self.root / "monitor"

    def kit(self, name: str) -> Path:
        """The startup kit of the participant `name`."""
        return self.kits / name

    @property
    def runs(self) -> Path:
        """What the runtimes keep: one folder a runtime."""
        return self.root / "run"

    def run(self, runtime: str) -> Path:
        """What a runtime (process, docker, kubernetes) keeps while the federation is up."""
        return self.runs / runtime

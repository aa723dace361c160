"""Deployment with Flarefleet: `provision`, `up --runtime kubernetes` and `down`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.deploy.federation import InCluster, program, run, stopwatch
from benchmarks.project import ADMIN
from deploy.project import load_project
from deploy.runtimes.choice import open_runtime
from deploy.workspace import Workspace


class Flarefleet(InCluster):
    """A federation deployed with Flarefleet."""

    def prepare(self) -> None:
        registry, _, tag = self.image.removesuffix("-cpu").partition("/runtime:")
        self.write_project(
            server={"default_host": f"server.{self.namespace('server')}.svc"},
            deployment={
                "image": {"registry": registry, "tag": tag, "variant": "cpu"},
                "defaults": {"storage": "1Gi", "launcher": self.launcher},
                "sites": {name: {"namespace": self.namespace(name)} for name in ("server", *self.sites)},
            },
        )
        self._flarefleet("provision")

    def install(self) -> None:
        self._flarefleet("up", "--runtime", "kubernetes")

    def down(self) -> float:
        with stopwatch() as seconds:
            self._flarefleet("down", "--runtime", "kubernetes")
        return seconds[0]

    @contextlib.contextmanager
    def admin_kit(self) -> Iterator[Path]:
        project = load_project(self.folder / "project.yml")
        runtime = open_runtime("kubernetes", project, Workspace(self.folder / "workspace" / project.name))
        yield runtime.admin_kit(ADMIN)

    def _flarefleet(self, *arguments: str) -> None:
        run(program("python"), "-m", "deploy.cli.app", *arguments, cwd=self.folder)

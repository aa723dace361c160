"""Run helm: install, upgrade, roll back and uninstall releases."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.checkout import CHARTS
from deploy.errors import Failed, MachineError
from deploy.programs import major_version
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from deploy.tools import find_tool

LABEL_INPUTS = "flarefleet-inputs"
"""Label of a release: fingerprint of its chart and values."""
LABEL_OWNER = "owner=helm"
"""Label of the Secrets in which helm keeps releases."""
REVISIONS = "5"
HELM_SECONDS = 300
SERVER_CHECKS = ("--disable-openapi-validation",)
"""helm 4 and later applies on the server, which validates the manifests. Client-side validation would fetch
the API's whole schema for each release, which takes half a second.
"""


@dataclass(frozen=True)
class Helm:
    """The program helm."""

    program: Path

    def install(self, target: ReleaseTarget, chart: str, values: Iterable[Path], inputs: str) -> None:
        """Install or upgrade a release.

        Raises:
            Failed: helm failed. The message has its output.
        """
        self._run(
            target,
            *("upgrade", "--install", target.release, str(CHARTS / chart)),
            *("--history-max", REVISIONS, "--labels", f"{LABEL_INPUTS}={inputs}"),
            *(SERVER_CHECKS if self._applies_on_the_server else ()),
            *(word for file in values for word in ("--values", str(file))),
        )

    def roll_back(self, target: ReleaseTarget) -> None:
        """Return to the revision before an upgrade that was killed."""
        self._run(target, "rollback", target.release)

    def uninstall(self, target: ReleaseTarget) -> None:
        """Uninstall a release if it is installed."""
        self._run(target, "uninstall", target.release, "--ignore-not-found")

    @cached_property
    def _applies_on_the_server(self) -> bool:
        return major_version(str(self.program), "version", "--template", "{{.Version}}") >= 4

    def _run(self, target: ReleaseTarget, *arguments: str) -> None:
        where = ("--kube-context", target.context, "--namespace", target.namespace)
        try:
            done = subprocess.run(
                [str(self.program), *arguments, *where],
                capture_output=True,
                text=True,
                check=False,
                timeout=HELM_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"helm {arguments[0]} of {target.name} timed out after {HELM_SECONDS} s.") from error
        if done.returncode:
            output = done.stderr.strip().removeprefix("Error: ")
            raise Failed(f"helm {arguments[0]} of {target.name} in {target.namespace} failed:\n{output}")


def find_helm() -> Helm:
    """Return the helm of this machine.

    Raises:
        MachineError: helm or the charts are missing.
    """
    if not (CHARTS / "flare-server").is_dir():
        raise MachineError(f"{CHARTS} has no charts. Install Flarefleet again.")
    return Helm(find_tool("helm"))

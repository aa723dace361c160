"""The program helm, as the runtime uses it: install or upgrade, roll back, uninstall."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.checkout import CHARTS
from deploy.errors import Failed, MachineError
from deploy.runtimes.kubernetes.plan import Member
from deploy.tools import find_tool

LABEL_INPUTS = "flarefleet-inputs"
"""On a release: the fingerprint of all that it was made from."""
LABEL_OWNER = "owner=helm"
"""Of the Secret in which helm keeps a release."""
REVISIONS = "5"
HELM_SECONDS = 300
SERVER_CHECKS = ("--disable-openapi-validation",)
"""For a helm that applies at the server (from 4 on): the server then refuses what it does not know, and the
API's whole schema, from which helm would learn the same, costs half a second of each release."""


@dataclass(frozen=True)
class Helm:
    """The program.

    Args:
        program: where it is.
    """

    program: Path

    def install(self, member: Member, chart: str, values: Iterable[Path], inputs: str) -> None:
        """Install a release, or upgrade the one that is there.

        Raises:
            Failed: helm refuses it, in its words.
        """
        self._run(
            member,
            *("upgrade", "--install", member.release, str(CHARTS / chart)),
            *("--history-max", REVISIONS, "--labels", f"{LABEL_INPUTS}={inputs}"),
            *(SERVER_CHECKS if self._applies_at_the_server else ()),
            *(word for file in values for word in ("--values", str(file))),
        )

    def roll_back(self, member: Member) -> None:
        """Back to the release before an upgrade that was killed."""
        self._run(member, "rollback", member.release)

    def uninstall(self, member: Member) -> None:
        """Remove a release, if it is there."""
        self._run(member, "uninstall", member.release, "--ignore-not-found")

    @cached_property
    def _applies_at_the_server(self) -> bool:
        told = subprocess.run(
            [str(self.program), "version", "--template", "{{.Version}}"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        major = told.strip().removeprefix("v").partition(".")[0]
        return major.isdigit() and int(major) >= 4

    def _run(self, member: Member, *arguments: str) -> None:
        where = ("--kube-context", member.context, "--namespace", member.namespace)
        try:
            ended = subprocess.run(
                [str(self.program), *arguments, *where],
                capture_output=True,
                text=True,
                check=False,
                timeout=HELM_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(
                f"helm {arguments[0]} of {member.name} has not ended in {HELM_SECONDS} s."
            ) from error
        if ended.returncode:
            said = ended.stderr.strip().removeprefix("Error: ")
            raise Failed(f"helm {arguments[0]} of {member.name} in {member.namespace} failed:\n{said}")


def find_helm() -> Helm:
    """The helm of this machine.

    Raises:
        MachineError: there is none, or no charts beside this program.
    """
    if not (CHARTS / "flare-server").is_dir():
        raise MachineError(f"The charts are not in {CHARTS}: run flarefleet from its checkout.")
    return Helm(find_tool("helm"))

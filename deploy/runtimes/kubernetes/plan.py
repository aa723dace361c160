"""What of a federation is installed where: the participants' clusters, namespaces and releases.

run/kubernetes/plan.json    what is installed, or was last; written by `up`
run/kubernetes/values/      what `up` adds to a release's own values
run/kubernetes/doors.json   the ports of this machine that lead to the pods; see `doors`
run/kubernetes/admin/NAME/  a copy of an administrator's kit that goes through them
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from deploy.errors import InputError
from deploy.release.participant import Participant
from deploy.runtimes import records

if TYPE_CHECKING:
    from deploy.project import Project
    from deploy.workspace import Workspace


class Member(BaseModel, frozen=True):
    """A server or site, and where it is installed."""

    name: str
    role: str
    context: str
    """The context of the kubeconfig that names its cluster."""
    namespace: str
    release: str

    @property
    def selector(self) -> str:
        """The labels of its StatefulSet and its pod, and of no job's."""
        return f"{self.everything},app.kubernetes.io/component={self.role}"

    @property
    def everything(self) -> str:
        """The label of all that its release made, and of its job pods."""
        return f"app.kubernetes.io/instance={self.release}"


class Plan(BaseModel, frozen=True):
    """A federation in clusters; the server is the first of its members."""

    members: tuple[Member, ...] = ()

    @property
    def server(self) -> Member:
        """The server."""
        return self.members[0]

    @property
    def contexts(self) -> tuple[str, ...]:
        """Every context that is needed, each once."""
        return tuple(dict.fromkeys(member.context for member in self.members))

    def member(self, name: str) -> Member | None:
        """The server or site of that name."""
        return next((member for member in self.members if member.name == name), None)


class RunFolder:
    """run/kubernetes of a federation.

    Args:
        root: that folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._plan = root / "plan.json"

    def make(self) -> None:
        """Make it, for this user alone."""
        for folder in (self.root, self.root / "values"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def plan(self) -> Plan:
        """What `up` planned; without members if there never was an `up`."""
        return records.read(self._plan, Plan) or Plan()

    def write_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        records.write(self._plan, plan)

    def forget_plan(self) -> None:
        """Nothing is left of it."""
        self._plan.unlink(missing_ok=True)

    @property
    def lock(self) -> Path:
        """Held by whoever installs or removes."""
        return self.root / ".lock"

    def values(self, name: str) -> Path:
        """What `up` adds to the values of a server or site."""
        return self.root / "values" / f"{name}.yaml"

    def admin(self, name: str) -> Path:
        """A copy of an administrator's kit."""
        return self.root / "admin" / name


def participants(project: Project, workspace: Workspace) -> dict[str, Participant]:
    """The server and every site as their releases see them, the server first."""
    return {
        one.name: Participant(
            project=project, deployment=one.deployment, name=one.name, kit=workspace.kit(one.name)
        )
        for one in project.parents
    }


def make_plan(
    everybody: Mapping[str, Participant], chosen: Mapping[str, str], before: Plan, current: str | None
) -> Plan:
    """Where each will be: the context that was chosen for it, else the one it was in, else the chosen for
    all, else the current one.

    Args:
        everybody: as `participants` gives them.
        chosen: NAME -> context; the empty name stands for all.
        before: where they are.
        current: the kubeconfig's current context.

    Raises:
        InputError: a context is chosen for nobody, or none is for somebody.
    """
    strangers = [name for name in chosen if name and name not in everybody]
    if strangers:
        raise InputError(
            f"--context {strangers[0]}={chosen[strangers[0]]}: there is no site {strangers[0]}; "
            f"there are: {', '.join(everybody)}."
        )
    return Plan(members=tuple(_member(one, chosen, before, current) for one in everybody.values()))


def _member(one: Participant, chosen: Mapping[str, str], before: Plan, current: str | None) -> Member:
    last = before.member(one.name)
    context = chosen.get(one.name) or chosen.get("") or (last.context if last else None) or current
    if context is None:
        raise InputError(
            f"No cluster is chosen for {one.name}: the kubeconfig has no current context. "
            "Choose: kubectl config use-context NAME, or up --context NAME"
        )
    return Member(
        name=one.name,
        role="server" if one.is_server else "client",
        context=context,
        namespace=one.namespace,
        release=one.release,
    )

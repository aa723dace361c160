"""Plan the installation of a federation: cluster, namespace and release of the server and of each site.

run/kubernetes/plan.json           the current or last installation; written by `up`
run/kubernetes/values/             values that `up` adds to those of a release
run/kubernetes/port-forwards.json  ports of this machine that lead to pods; see `port_forward`
run/kubernetes/admin/NAME/         copy of an administrator's kit that uses them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from deploy.errors import InputError
from deploy.release.participant import Participant


class ReleaseTarget(BaseModel, frozen=True):
    """The cluster, namespace and release of a server or site."""

    name: str
    role: str
    context: str
    """Context of the kubeconfig that names the cluster."""
    namespace: str
    release: str

    @property
    def selector(self) -> str:
        """Label selector of its StatefulSet and pod, without its job pods."""
        return f"{self.instance_selector},app.kubernetes.io/component={self.role}"

    @property
    def instance_selector(self) -> str:
        """Label selector of all objects of its release, and of its job pods."""
        return f"app.kubernetes.io/instance={self.release}"


class InstallationPlan(BaseModel, frozen=True):
    """The release targets of a federation; the server is the first."""

    members: tuple[ReleaseTarget, ...] = ()

    @property
    def server(self) -> ReleaseTarget:
        """The server."""
        return self.members[0]

    @property
    def remote_sites(self) -> tuple[ReleaseTarget, ...]:
        """The sites that are not in the server's cluster."""
        return tuple(member for member in self.members if member.context != self.server.context)

    def member(self, name: str) -> ReleaseTarget | None:
        """Return the server or site of that name."""
        return next((member for member in self.members if member.name == name), None)

    def keeping(self, before: InstallationPlan, only: Sequence[str]) -> InstallationPlan:
        """Return the plan with the targets of `before`, except those that `only` names, if any."""
        if not only:
            return self
        kept = {member.name: member for member in before.members if member.name not in only}
        members = {member.name: member for member in self.members} | kept
        return InstallationPlan(members=tuple(members.values()))


def make_plan(
    participants: Mapping[str, Participant],
    contexts: Mapping[str, str],
    before: InstallationPlan,
    current: str | None,
) -> InstallationPlan:
    """Choose a cluster for each participant.

    The order of precedence is: the context given for this participant, the context given for all, the context
    in which it is installed, the kubeconfig's current context.

    Args:
        contexts: NAME -> context; the empty name stands for all.

    Raises:
        InputError: a context is given for an unknown site, or a participant has no context.
    """
    unknown = [name for name in contexts if name and name not in participants]
    if unknown:
        raise InputError(
            f"--context {unknown[0]}={contexts[unknown[0]]}: there is no site {unknown[0]}; "
            f"available: {', '.join(participants)}."
        )
    return InstallationPlan(
        members=tuple(_target(one, contexts, before, current) for one in participants.values())
    )


def _target(
    participant: Participant, contexts: Mapping[str, str], before: InstallationPlan, current: str | None
) -> ReleaseTarget:
    last = before.member(participant.name)
    context = (
        contexts.get(participant.name) or contexts.get("") or (last.context if last else None) or current
    )
    if context is None:
        raise InputError(
            f"No cluster is selected for {participant.name}: the kubeconfig has no current context. "
            "Select one: kubectl config use-context NAME, or up --context NAME"
        )
    return ReleaseTarget(
        name=participant.name,
        role="server" if participant.is_server else "client",
        context=context,
        namespace=participant.namespace,
        release=participant.release,
    )

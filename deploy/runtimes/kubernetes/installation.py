"""Installs and removes one server or site: its key, then its release; each only where it is not there as
wanted.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException

from deploy.checkout import CHARTS
from deploy.errors import Failed, InputError
from deploy.release.participant import Participant
from deploy.runtimes.kubernetes.cluster import NOT_FOUND, Cluster
from deploy.runtimes.kubernetes.helm import LABEL_INPUTS, LABEL_OWNER, Helm
from deploy.runtimes.kubernetes.plan import Member

OWN_VALUES = "own.yaml"
"""Beside a release's values.yaml: an operator's own values, which win."""
GONE_SECONDS = 90.0
"""A pod's grace period, and some."""
POLL_SECONDS = 0.2
KEY_CHECKSUM = "checksum/key"


def ensure_key(cluster: Cluster, member: Member, participant: Participant) -> None:
    """Put the private key into its Secret, unless it is there."""
    data = {participant.key.name: base64.b64encode(participant.key.read_bytes()).decode("ascii")}
    labels = {"app.kubernetes.io/part-of": participant.project.name, "flare/site": member.name}
    manifest = {"metadata": {"name": participant.secret, "labels": labels}, "type": "Opaque", "data": data}
    core, where = cluster.core, member.namespace
    try:
        there = core.read_namespaced_secret(participant.secret, where)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        core.create_namespaced_secret(where, manifest)
    else:
        if there.data != data:
            core.replace_namespaced_secret(participant.secret, where, manifest)


def write_values(file: Path, participant: Participant, further: Mapping[str, Any]) -> None:
    """Write what is added to the values that provisioning wrote.

    Args:
        file: the place for it.
        participant: a changed key of it starts the pod again, as a changed kit does.
        further: what depends on where the others are.
    """
    digest = hashlib.sha256(participant.key.read_bytes()).hexdigest()
    beside = file.with_suffix(".new")
    beside.write_text(yaml.safe_dump({"podAnnotations": {KEY_CHECKSUM: digest}, **further}), encoding="utf-8")
    beside.replace(file)


def value_files(release: Path, added: Path) -> list[Path]:
    """The files of values of a release, each winning over those before.

    Raises:
        InputError: the release was never written.
    """
    provisioned = release / "values.yaml"
    if not provisioned.is_file():
        raise InputError(f"{provisioned} is missing; make it: flarefleet provision")
    own = release / OWN_VALUES
    return [provisioned, added, *([own] if own.is_file() else [])]


def ensure_release(
    helm: Helm, cluster: Cluster, member: Member, participant: Participant, values: Sequence[Path]
) -> None:
    """Install the release, or upgrade it, unless it is there and made from the same.

    Raises:
        InputError: there is one of that name, of another federation.
        Failed: helm refuses.
    """
    inputs = _fingerprint(participant.chart, values)
    installed = _stateful_set(cluster, member)
    if installed is not None:
        _refuse_a_strangers(installed, member, participant.project.name)
    secrets = cluster.core.list_namespaced_secret(
        member.namespace, label_selector=f"{LABEL_OWNER},name={member.release}"
    ).items
    states = {secret.metadata.labels["status"]: secret.metadata.labels for secret in secrets}
    if "pending-install" in states:  # by a helm that was killed: nothing but an uninstall mends it
        helm.uninstall(member)
    elif "pending-upgrade" in states or "pending-rollback" in states:
        helm.roll_back(member)
    elif states.get("deployed", {}).get(LABEL_INPUTS) == inputs and installed is not None:
        return
    helm.install(member, participant.chart, values, inputs)


def restart(cluster: Cluster, member: Member, pod: str) -> None:
    """Let a pod that ended be made anew now, not after Kubernetes' growing pauses."""
    _ignoring_missing(lambda: cluster.core.delete_namespaced_pod(pod, member.namespace))


def remove(helm: Helm, cluster: Cluster, member: Member, secret: str) -> None:
    """Uninstall a release, wait for its pods to end, and take its key away. Its volume stays.

    Raises:
        Failed: a pod does not end.
    """
    _stop(cluster, member)
    helm.uninstall(member)
    _wait_for_the_end(cluster, member)
    _ignoring_missing(lambda: cluster.core.delete_namespaced_secret(secret, member.namespace))


def remove_volumes(cluster: Cluster, member: Member) -> None:
    """Remove the workspace of a server or site that is uninstalled; data that it was given stays."""
    core, where = cluster.core, member.namespace
    for claim in core.list_namespaced_persistent_volume_claim(where, label_selector=member.everything).items:
        name = claim.metadata.name
        _ignoring_missing(lambda name=name: core.delete_namespaced_persistent_volume_claim(name, where))
    deadline = time.monotonic() + GONE_SECONDS
    while core.list_namespaced_persistent_volume_claim(where, label_selector=member.everything).items:
        if time.monotonic() > deadline:
            raise Failed(f"The volume of {member.name} in {where} does not go: kubectl get pvc -n {where}")
        time.sleep(POLL_SECONDS)


def _stop(cluster: Cluster, member: Member) -> None:
    """Let its pod begin to end while helm still starts; helm takes what is gone already for removed."""
    found = _stateful_set(cluster, member)
    if found is not None:
        apps, name = cluster.apps, found.metadata.name
        _ignoring_missing(lambda: apps.delete_namespaced_stateful_set(name, member.namespace))


def _wait_for_the_end(cluster: Cluster, member: Member) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while left := cluster.pods(member.namespace, member.everything):
        if time.monotonic() > deadline:
            name = left[0].metadata.name
            raise Failed(
                f"{member.name} is uninstalled, but its pod {name} has not ended in {GONE_SECONDS:.0f} s: "
                f"kubectl describe pod -n {member.namespace} {name}"
            )
        time.sleep(POLL_SECONDS)


def _stateful_set(cluster: Cluster, member: Member) -> Any:
    found = cluster.apps.list_namespaced_stateful_set(member.namespace, label_selector=member.selector)
    return found.items[0] if found.items else None


def _refuse_a_strangers(installed: Any, member: Member, project: str) -> None:
    owner = installed.metadata.labels.get("app.kubernetes.io/part-of")
    if owner != project:
        raise InputError(
            f"The namespace {member.namespace} in {member.context} has a release {member.release} of "
            f"{owner}. Choose another namespace for {member.name} in project.yml (deployment: sites: "
            f"{member.name}: namespace) and provision again."
        )


def _fingerprint(chart: str, values: Sequence[Path]) -> str:
    """All that a release is made from, short enough for a label."""
    whole = hashlib.sha256(_chart_fingerprint(chart).encode())
    for file in values:
        whole.update(file.read_bytes() + b"\0")
    return whole.hexdigest()[:40]


@cache
def _chart_fingerprint(chart: str) -> str:
    whole = hashlib.sha256()
    for file in sorted(_chart_files(CHARTS / chart)):
        whole.update(f"{file.relative_to(CHARTS)}\0".encode() + file.read_bytes())
    return whole.hexdigest()


def _chart_files(chart: Path) -> Iterator[Path]:
    for folder in (chart, CHARTS / "flare-common"):
        yield from (file for file in folder.rglob("*") if file.is_file())


def _ignoring_missing(action: Any) -> None:
    try:
        action()
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise

"""Install and remove a server or site: its private key and its release."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException

from deploy.checkout import CHARTS
from deploy.errors import Failed, InputError
from deploy.release.participant import Participant
from deploy.runtimes.fingerprint import fingerprint
from deploy.runtimes.kubernetes.cluster import NOT_FOUND, Cluster
from deploy.runtimes.kubernetes.helm import LABEL_INPUTS, LABEL_OWNER, Helm
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from deploy.runtimes.polling import poll_until
from fl_app.files import write_atomically

OWN_VALUES = "own.yaml"
"""The operator's values, beside a release's values.yaml. They override all others."""
GONE_SECONDS = 90.0
"""Longer than the grace period of a pod."""
POLL_SECONDS = 0.2
KEY_CHECKSUM = "checksum/key"


def ensure_key(cluster: Cluster, target: ReleaseTarget, participant: Participant) -> None:
    """Create or update the Secret with the private key, and the key of homomorphic encryption, if any."""
    files = participant.secret_files
    data = {file.name: base64.b64encode(file.read_bytes()).decode("ascii") for file in files}
    labels = {"app.kubernetes.io/part-of": participant.project.name, "flare/site": target.name}
    manifest = {"metadata": {"name": participant.secret, "labels": labels}, "type": "Opaque", "data": data}
    core = cluster.core
    try:
        found = core.read_namespaced_secret(participant.secret, target.namespace)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        core.create_namespaced_secret(target.namespace, manifest)
    else:
        if found.data != data:
            core.replace_namespaced_secret(participant.secret, target.namespace, manifest)


def write_values(file: Path, participant: Participant, values: Mapping[str, Any]) -> None:
    """Write the values that `up` adds to those of the release folder.

    The checksum of the keys restarts the pod when one of them changes.
    """
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in participant.secret_files)).hexdigest()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(file, yaml.safe_dump({"podAnnotations": {KEY_CHECKSUM: digest}, **values}).encode())


def value_files(release: Path, added: Path) -> list[Path]:
    """Return the files of values of a release; later files override earlier ones.

    Raises:
        InputError: the release folder has no values.yaml.
    """
    provisioned = release / "values.yaml"
    if not provisioned.is_file():
        raise InputError(f"{provisioned} is missing; create it: flarefleet provision")
    own = release / OWN_VALUES
    return [provisioned, added, *([own] if own.is_file() else [])]


def ensure_release(
    helm: Helm, cluster: Cluster, target: ReleaseTarget, participant: Participant, values: Sequence[Path]
) -> None:
    """Install or upgrade the release, unless it is installed with the same chart and values.

    Raises:
        InputError: another federation has a release of this name in the namespace.
        Failed: helm failed.
    """
    digest = hashlib.sha256(_chart_fingerprint(participant.chart).encode())
    for file in values:
        digest.update(file.read_bytes() + b"\0")
    inputs = digest.hexdigest()[:40]  # short enough for a label
    installed = _stateful_set(cluster, target)
    if installed is not None:
        _refuse_other_owner(installed, target, participant.project.name)
    secrets = cluster.core.list_namespaced_secret(
        target.namespace, label_selector=f"{LABEL_OWNER},name={target.release}"
    ).items
    states = {secret.metadata.labels["status"]: secret.metadata.labels for secret in secrets}
    if "pending-install" in states:  # helm was killed; only an uninstall repairs that
        helm.uninstall(target)
    elif "pending-upgrade" in states or "pending-rollback" in states:
        helm.roll_back(target)
    elif states.get("deployed", {}).get(LABEL_INPUTS) == inputs and installed is not None:
        return
    helm.install(target, participant.chart, values, inputs)


def scale(cluster: Cluster, target: ReleaseTarget, replicas: int) -> None:
    """Set the number of pods of an installed release; do nothing if it is not installed."""
    found = _stateful_set(cluster, target)
    if found is not None and found.spec.replicas != replicas:
        patch = {"spec": {"replicas": replicas}}
        cluster.apps.patch_namespaced_stateful_set_scale(found.metadata.name, target.namespace, patch)


def scale_down(cluster: Cluster, target: ReleaseTarget) -> None:
    """Stop the pod of a release, and wait until it is gone.

    Raises:
        Failed: the pod does not terminate.
    """
    scale(cluster, target, 0)
    if left := _wait_until_gone(lambda: cluster.pods(target.namespace, target.selector)):
        raise Failed(_still_terminating(f"{target.name} is stopped", target, left[0].metadata.name))


def remove(helm: Helm, cluster: Cluster, target: ReleaseTarget) -> None:
    """Uninstall a release, wait until its pods are gone, and delete its key. Its volume stays.

    Raises:
        Failed: a pod does not terminate.
    """
    if (found := _stateful_set(cluster, target)) is not None:  # its pod terminates while helm starts
        delete = cluster.apps.delete_namespaced_stateful_set
        ignoring_missing(partial(delete, found.metadata.name, target.namespace))
    helm.uninstall(target)
    left = _wait_until_gone(lambda: cluster.pods(target.namespace, target.instance_selector))
    if left:
        raise Failed(_still_terminating(f"{target.name} is uninstalled", target, left[0].metadata.name))
    secret = f"{target.release}-key"
    ignoring_missing(lambda: cluster.core.delete_namespaced_secret(secret, target.namespace))


def remove_volumes(cluster: Cluster, target: ReleaseTarget) -> None:
    """Delete the workspace of an uninstalled server or site. Its datasets stay.

    Raises:
        Failed: a volume claim is not deleted in time.
    """
    core, where = cluster.core, target.namespace

    def claims() -> list[Any]:
        selector = target.instance_selector
        return list(core.list_namespaced_persistent_volume_claim(where, label_selector=selector).items)

    for claim in claims():
        name = claim.metadata.name
        ignoring_missing(partial(core.delete_namespaced_persistent_volume_claim, name, where))
    if _wait_until_gone(claims):
        raise Failed(f"The volume of {target.name} in {where} is still in use: kubectl get pvc -n {where}")


def _still_terminating(done: str, target: ReleaseTarget, pod: str) -> str:
    return (
        f"{done}, but its pod {pod} is still terminating after {GONE_SECONDS:.0f} s: "
        f"kubectl describe pod -n {target.namespace} {pod}"
    )


def _wait_until_gone(find: Callable[[], list[Any]]) -> list[Any]:
    """Return what is left after the timeout."""
    left: list[Any] = []

    def is_gone() -> bool:
        left[:] = find()
        return not left

    poll_until(is_gone, GONE_SECONDS, POLL_SECONDS)
    return left


def _stateful_set(cluster: Cluster, target: ReleaseTarget) -> Any:
    found = cluster.apps.list_namespaced_stateful_set(target.namespace, label_selector=target.selector)
    return found.items[0] if found.items else None


def _refuse_other_owner(installed: Any, target: ReleaseTarget, project: str) -> None:
    owner = installed.metadata.labels.get("app.kubernetes.io/part-of")
    if owner != project:
        raise InputError(
            f"The namespace {target.namespace} in {target.context} already has a release {target.release}, "
            f"of {owner}. Choose another namespace for {target.name} in project.yml (deployment: sites: "
            f"{target.name}: namespace) and provision again."
        )


@cache
def _chart_fingerprint(chart: str) -> str:
    return fingerprint(CHARTS / chart, CHARTS / "flare-common")


def ignoring_missing(action: Callable[[], object]) -> None:
    """Run an action on an object that may not exist."""
    try:
        action()
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise

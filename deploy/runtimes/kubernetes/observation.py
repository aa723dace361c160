"""Status of a server or site in a cluster, by its StatefulSet, its pod and their events."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

from kubernetes.client.exceptions import ApiException

from deploy.runtimes.exit_reason import OUT_OF_MEMORY, exit_reason
from deploy.runtimes.kubernetes.cluster import NOT_FOUND, Cluster
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from deploy.runtimes.kubernetes.pod_log import CONTAINER, tail
from deploy.runtimes.protocol import SiteState, SiteStatus
from fl_app.contract import TELEMETRY_PORT

CANNOT_START = {
    "ErrImageNeverPull": "its node does not have the image {image} and must not pull it",
    "ImagePullBackOff": "the image {image} cannot be pulled: {message}",
    "InvalidImageName": "the image name {image} is invalid",
}
"""Reasons of a waiting container that waiting cannot resolve."""
PUSH_HINT = (
    "Push it to a registry that the nodes can reach: flarefleet images push (deployment: image: registry)"
)
PULL_FAILED = "ErrImagePull"
"""The node retries; after the second failure the reason is one of CANNOT_START."""
BACK_OFF = "CrashLoopBackOff"
MAX_MESSAGE = 300
"""Maximum length of a message."""
STARTUP = timedelta(seconds=5)
"""Age of a container from which its telemetry is queried. A port forward costs the cluster as much as the
start of a parent, and most parents are ready by then.
"""


def observe(cluster: Cluster, target: ReleaseTarget) -> SiteStatus:
    """Return the status of a server or site."""
    found = cluster.apps.list_namespaced_stateful_set(target.namespace, label_selector=target.selector).items
    if not found:
        return _status(target, SiteState.STOPPED, "not installed")
    stateful_set = found[0]
    if stateful_set.spec.replicas == 0:
        return _status(target, SiteState.STOPPED, "scaled to 0 replicas")
    pods = cluster.pods(target.namespace, target.selector)
    if pods:
        return _with_pod(cluster, target, stateful_set, pods[0])
    event = _warning(cluster, target, stateful_set.metadata.uid)
    if event is not None and _when(event) >= _last_change(stateful_set):
        return _status(target, SiteState.CANNOT_START, f"its pod is rejected: {_shortened(event.message)}")
    return _status(target, SiteState.STARTING, "its pod is being created")


def _with_pod(cluster: Cluster, target: ReleaseTarget, stateful_set: Any, pod: Any) -> SiteStatus:
    where = f"pod {target.namespace}/{pod.metadata.name}"
    if pod.metadata.deletion_timestamp is not None or _is_outdated(stateful_set, pod):
        return _status(target, SiteState.STARTING, "its pod is being replaced", where=where)
    if pod.status.phase == "Failed":
        reason = _shortened(pod.status.message or pod.status.reason or "its pod failed")
        return _status(target, SiteState.EXITED, reason, where=where)
    container = next((one for one in pod.status.container_statuses or () if one.name == CONTAINER), None)
    if container is None:
        return _status(target, SiteState.STARTING, _waiting_reason(cluster, target, pod), where=where)
    if container.state.waiting is not None:
        return _waiting(cluster, target, pod, container, where)
    if container.state.terminated is not None:
        return _exited(cluster, target, container.state.terminated, where)
    condition = _condition(pod, "Ready")
    if condition is not None and condition.status == "True":
        return _status(target, SiteState.READY, where=where)
    age = datetime.now(timezone.utc) - container.state.running.started_at
    if timedelta() <= age < STARTUP:  # a negative age means that the clocks differ
        return _status(target, SiteState.STARTING, "starting", where=where)
    answer = _readiness(cluster, target, pod.metadata.name)
    state = SiteState.STARTING if answer.get("starting", True) else SiteState.NOT_READY
    return _status(target, state, str(answer.get("reason") or "its telemetry does not answer"), where=where)


def _waiting(cluster: Cluster, target: ReleaseTarget, pod: Any, container: Any, where: str) -> SiteStatus:
    waiting = container.state.waiting
    if waiting.reason == BACK_OFF and container.last_state.terminated is not None:
        return _exited(cluster, target, container.last_state.terminated, where)
    if waiting.reason in CANNOT_START:
        message = _image_error(waiting.message or "")
        reason = CANNOT_START[waiting.reason].format(image=container.image, message=message)
        return _status(target, SiteState.CANNOT_START, f"{reason}. {PUSH_HINT}", where=where)
    if waiting.reason == PULL_FAILED:
        reason = f"the image {container.image} cannot be pulled: {_image_error(waiting.message or '')}"
        return _status(target, SiteState.STARTING, reason, where=where)
    return _status(target, SiteState.STARTING, _waiting_reason(cluster, target, pod), where=where)


def _image_error(text: str) -> str:
    return _shortened(text.removeprefix("Back-off pulling image ")).rstrip(".")


def _exited(cluster: Cluster, target: ReleaseTarget, terminated: Any, where: str) -> SiteStatus:
    if terminated.reason == "OOMKilled":
        reason = OUT_OF_MEMORY
    else:
        lines = (terminated.message or "").splitlines()
        reason = exit_reason(terminated.exit_code, lines or tail(cluster, target))
    return _status(target, SiteState.EXITED, reason, where=where, exit_code=terminated.exit_code)


def _readiness(cluster: Cluster, target: ReleaseTarget, pod: str) -> dict[str, Any]:
    """Return the answer of /readyz, empty if there is none."""
    try:
        with closing(http.client.HTTPConnection(pod)) as connection:
            connection.sock = cluster.connect(target.namespace, pod, TELEMETRY_PORT)
            connection.sock.settimeout(2)
            connection.request("GET", "/readyz")
            return dict(json.loads(connection.getresponse().read()))
    except (OSError, ValueError, http.client.HTTPException, ApiException):
        return {}


def _waiting_reason(cluster: Cluster, target: ReleaseTarget, pod: Any) -> str:
    """Return the message of the scheduler or of an event about a pod that waits."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return (
            f"no node can run its pod: {_shortened(scheduled.message or '')}{_unbound(cluster, target, pod)}"
        )
    event = _warning(cluster, target, pod.metadata.uid)
    if event is not None:
        return f"{event.reason}: {_shortened(event.message)}"
    return "its container is being created"


def _unbound(cluster: Cluster, target: ReleaseTarget, pod: Any) -> str:
    """Return why a volume claim of the pod is not bound."""
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is None:
            continue
        name = volume.persistent_volume_claim.claim_name
        try:
            claim = cluster.core.read_namespaced_persistent_volume_claim(name, target.namespace)
        except ApiException as error:
            # Any other error, such as a denied request, tells nothing about the claim.
            return f"; the volume claim {name} does not exist" if error.status == NOT_FOUND else ""
        if claim.status.phase != "Bound":
            event = _warning(cluster, target, claim.metadata.uid)
            if event is not None:
                return f"; the volume claim {name}: {_shortened(event.message)}"
    return ""


def _warning(cluster: Cluster, target: ReleaseTarget, uid: str) -> Any:
    selector = f"involvedObject.uid={uid},type=Warning"
    try:
        events = cluster.core.list_namespaced_event(target.namespace, field_selector=selector).items
    except ApiException:
        return None  # this user may not read events
    return max(events, key=_when, default=None)


def _when(event: Any) -> Any:
    return event.last_timestamp or event.event_time or event.metadata.creation_timestamp


def _last_change(stateful_set: Any) -> Any:
    """Return when the StatefulSet's specification last changed. Earlier events do not apply to it."""
    times = [entry.time for entry in stateful_set.metadata.managed_fields or () if entry.subresource is None]
    return max([time for time in times if time], default=stateful_set.metadata.creation_timestamp)


def _is_outdated(stateful_set: Any, pod: Any) -> bool:
    """Return whether the pod has an earlier revision and will be replaced."""
    status = stateful_set.status
    if (status.observed_generation or 0) < stateful_set.metadata.generation:
        return True
    revision = (pod.metadata.labels or {}).get("controller-revision-hash")
    return bool(status.update_revision) and revision != status.update_revision


def _condition(pod: Any, kind: str) -> Any:
    return next((one for one in pod.status.conditions or () if one.type == kind), None)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}..."


def _status(
    target: ReleaseTarget,
    state: SiteState,
    reason: str = "",
    *,
    where: str = "",
    exit_code: int | None = None,
) -> SiteStatus:
    return SiteStatus(
        name=target.name, role=target.role, state=state, reason=reason, where=where, exit_code=exit_code
    )

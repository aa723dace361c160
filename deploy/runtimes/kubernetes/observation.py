"""How a StatefulSet, its pod and their events read as a site."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import Any

from kubernetes.client.exceptions import ApiException

from deploy.runtimes.exit_reason import exit_reason
from deploy.runtimes.kubernetes.cluster import Cluster
from deploy.runtimes.kubernetes.plan import Member
from deploy.runtimes.protocol import SiteState, SiteStatus
from fl_app.contract import TELEMETRY_PORT

CONTAINER = "parent"
TAIL_LINES = 50
CANNOT_START = {
    "ErrImageNeverPull": "its node may not fetch the image {image}, and does not have it",
    "ImagePullBackOff": "the image {image} cannot be fetched: {message}",
    "InvalidImageName": "{image} cannot be an image's name",
}
"""What a container waits for in vain until somebody does something."""
IMAGES = "Put it where the nodes can fetch it: flarefleet images push (deployment: image: registry)"
FIRST_FAILURE = "ErrImagePull"
"""The node tries again; from the second failure on it is in CANNOT_START."""
BACK_OFF = "CrashLoopBackOff"
SHOWN = 300
"""Characters of a message of Kubernetes'."""
ASKED_FROM = timedelta(seconds=5)
"""So long after its start a parent is first asked why it is not ready: the way into a pod takes the cluster
as much work as the parent's own start, and by then nearly all are ready."""


def observe(cluster: Cluster, member: Member) -> SiteStatus:
    """The server or site, from what the cluster knows of it and what its telemetry says."""
    found = cluster.apps.list_namespaced_stateful_set(member.namespace, label_selector=member.selector).items
    if not found:
        return _status(member, SiteState.STOPPED, "it is not installed")
    stateful_set = found[0]
    if stateful_set.spec.replicas == 0:
        return _status(member, SiteState.STOPPED, "it is scaled to 0")
    pods = cluster.pods(member.namespace, member.selector)
    if not pods:
        return _without_pod(cluster, member, stateful_set)
    return _with_pod(cluster, member, stateful_set, pods[0])


def tail(cluster: Cluster, member: Member) -> list[str]:
    """The last lines that its container wrote, or the one before it that ended."""
    for pod in cluster.pods(member.namespace, member.selector):
        for previous in (False, True):
            try:
                text = cluster.core.read_namespaced_pod_log(
                    pod.metadata.name,
                    member.namespace,
                    container=CONTAINER,
                    tail_lines=TAIL_LINES,
                    previous=previous,
                )
            except ApiException:
                continue
            if text:
                return str(text).splitlines()
    return []


def _without_pod(cluster: Cluster, member: Member, stateful_set: Any) -> SiteStatus:
    """Its pod is about to be made, or is refused: then an event says why."""
    event = _warning(cluster, member, stateful_set.metadata.uid)
    if event is not None and _when(event) >= _changed(stateful_set):
        return _status(member, SiteState.CANNOT_START, f"its pod is refused: {_short(event.message)}")
    return _status(member, SiteState.STARTING, "its pod is about to be made")


def _with_pod(cluster: Cluster, member: Member, stateful_set: Any, pod: Any) -> SiteStatus:
    where = f"pod {member.namespace}/{pod.metadata.name}"
    if pod.metadata.deletion_timestamp is not None or _is_outdated(stateful_set, pod):
        return _status(member, SiteState.STARTING, "its pod is being replaced", where=where)
    if pod.status.phase == "Failed":
        reason = _short(pod.status.message or pod.status.reason or "its pod failed")
        return _status(member, SiteState.EXITED, reason, where=where)
    container = next((one for one in pod.status.container_statuses or () if one.name == CONTAINER), None)
    if container is None:
        return _status(member, SiteState.STARTING, _why_it_waits(cluster, member, pod), where=where)
    if container.state.waiting is not None:
        return _waiting(cluster, member, pod, container, where)
    if container.state.terminated is not None:
        return _ended(cluster, member, container.state.terminated, where)
    if _is_ready(pod):
        return _status(member, SiteState.READY, where=where)
    age = datetime.now(timezone.utc) - container.state.running.started_at
    if timedelta() <= age < ASKED_FROM:  # a clock that is behind the cluster's hides no reason
        return _status(member, SiteState.STARTING, "it starts", where=where)
    return _not_ready(cluster, member, pod, where)


def _waiting(cluster: Cluster, member: Member, pod: Any, container: Any, where: str) -> SiteStatus:
    waiting = container.state.waiting
    if waiting.reason == BACK_OFF and container.last_state.terminated is not None:
        return _ended(cluster, member, container.last_state.terminated, where)
    if waiting.reason in CANNOT_START:
        message = _image_fault(waiting.message or "")
        reason = CANNOT_START[waiting.reason].format(image=container.image, message=message)
        return _status(member, SiteState.CANNOT_START, f"{reason}. {IMAGES}", where=where)
    if waiting.reason == FIRST_FAILURE:
        reason = f"the image {container.image} cannot be fetched: {_image_fault(waiting.message or '')}"
        return _status(member, SiteState.STARTING, reason, where=where)
    return _status(member, SiteState.STARTING, _why_it_waits(cluster, member, pod), where=where)


def _image_fault(text: str) -> str:
    """What the node says of an image, without how often it tries."""
    return _short(text.removeprefix("Back-off pulling image ")).rstrip(".")


def _ended(cluster: Cluster, member: Member, terminated: Any, where: str) -> SiteStatus:
    if terminated.reason == "OOMKilled":
        reason = "it took more memory than its limit (deployment: resources: limits: memory)"
    else:
        told = (terminated.message or "").splitlines()
        reason = exit_reason(terminated.exit_code, told or tail(cluster, member))
    return _status(member, SiteState.EXITED, reason, where=where, exit_code=terminated.exit_code)


def _not_ready(cluster: Cluster, member: Member, pod: Any, where: str) -> SiteStatus:
    """Kubernetes only knows that the answer was no; the telemetry knows why."""
    answer = _ask(cluster, member, pod.metadata.name)
    state = SiteState.STARTING if answer.get("starting", True) else SiteState.NOT_READY
    return _status(member, state, str(answer.get("reason") or "its telemetry does not answer"), where=where)


def _ask(cluster: Cluster, member: Member, pod: str) -> dict[str, Any]:
    """What /readyz says; nothing where nobody answers."""
    try:
        with closing(http.client.HTTPConnection(pod)) as connection:
            connection.sock = cluster.connect(member.namespace, pod, TELEMETRY_PORT)
            connection.sock.settimeout(2)
            connection.request("GET", "/readyz")
            return dict(json.loads(connection.getresponse().read()))
    except (OSError, ValueError, http.client.HTTPException, ApiException):
        return {}


def _why_it_waits(cluster: Cluster, member: Member, pod: Any) -> str:
    """Where a pod waits for a node, a volume or an image: in the scheduler's or an event's words."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        return f"no node takes its pod: {_short(scheduled.message or '')}{_unbound(cluster, member, pod)}"
    event = _warning(cluster, member, pod.metadata.uid)
    if event is not None:
        return f"{event.reason}: {_short(event.message)}"
    return "its container is being made"


def _unbound(cluster: Cluster, member: Member, pod: Any) -> str:
    """Why a claim of the pod has no volume yet."""
    for volume in pod.spec.volumes or ():
        if volume.persistent_volume_claim is None:
            continue
        name = volume.persistent_volume_claim.claim_name
        try:
            claim = cluster.core.read_namespaced_persistent_volume_claim(name, member.namespace)
        except ApiException:
            return f"; the volume claim {name} does not exist"
        if claim.status.phase != "Bound":
            event = _warning(cluster, member, claim.metadata.uid)
            if event is not None:
                return f"; the volume claim {name}: {_short(event.message)}"
    return ""


def _warning(cluster: Cluster, member: Member, uid: str) -> Any:
    """The latest warning about an object; None without one."""
    selector = f"involvedObject.uid={uid},type=Warning"
    try:
        events = cluster.core.list_namespaced_event(member.namespace, field_selector=selector).items
    except ApiException:
        return None  # whoever may not read events is told less
    return max(events, key=_when, default=None)


def _when(event: Any) -> Any:
    return event.last_timestamp or event.event_time or event.metadata.creation_timestamp


def _changed(stateful_set: Any) -> Any:
    """When somebody last changed what is wanted: an event from before says nothing about it."""
    times = [entry.time for entry in stateful_set.metadata.managed_fields or () if entry.subresource is None]
    return max([time for time in times if time], default=stateful_set.metadata.creation_timestamp)


def _is_outdated(stateful_set: Any, pod: Any) -> bool:
    """Whether the pod is of a release before the last, and will be replaced."""
    status = stateful_set.status
    if (status.observed_generation or 0) < stateful_set.metadata.generation:
        return True
    revision = (pod.metadata.labels or {}).get("controller-revision-hash")
    return bool(status.update_revision) and revision != status.update_revision


def _is_ready(pod: Any) -> bool:
    condition = _condition(pod, "Ready")
    return condition is not None and condition.status == "True"


def _condition(pod: Any, kind: str) -> Any:
    return next((one for one in pod.status.conditions or () if one.type == kind), None)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}..."


def _status(
    member: Member, state: SiteState, reason: str = "", *, where: str = "", exit_code: int | None = None
) -> SiteStatus:
    return SiteStatus(
        name=member.name, role=member.role, state=state, reason=reason, where=where, exit_code=exit_code
    )

"""The log of a server's or site's pod."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from kubernetes.client.exceptions import ApiException

from deploy.runtimes.follow import lines_of
from deploy.runtimes.kubernetes.cluster import Cluster
from deploy.runtimes.kubernetes.plan import ReleaseTarget
from deploy.runtimes.protocol import LogPart

CONTAINER = "parent"
TAIL_LINES = 50


def tail(cluster: Cluster, target: ReleaseTarget) -> list[str]:
    """Return the last log lines of its container, or of the previous container.

    A pod that is being replaced is of an earlier start.
    """
    for pod in cluster.pods(target.namespace, target.selector):
        if pod.metadata.deletion_timestamp is not None:
            continue
        for previous in (False, True):
            try:
                text = cluster.core.read_namespaced_pod_log(
                    pod.metadata.name,
                    target.namespace,
                    container=CONTAINER,
                    tail_lines=TAIL_LINES,
                    previous=previous,
                )
            except ApiException:
                continue
            if text:
                return str(text).splitlines()
    return []


def log_options(part: LogPart) -> dict[str, int]:
    """Return the options of the Kubernetes API for a part of a log."""
    options = {}
    if part.tail is not None:
        options["tail_lines"] = part.tail
    if part.since is not None:
        seconds = (datetime.now(timezone.utc) - part.since).total_seconds()
        options["since_seconds"] = max(1, math.ceil(seconds))
    return options


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of a log, which may be cut off."""
    from urllib3.exceptions import HTTPError

    with contextlib.suppress(OSError, HTTPError):
        yield from lines_of(chunks)

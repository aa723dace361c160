"""Deletion of a cluster that a run of the tests has created, as soon as its last group of tests has ended.

An idle cluster takes a tenth of a processor from the other tests. The groups run in several workers.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import psutil
from filelock import FileLock

from tests.kubernetes.cluster import CACHE, CONTEXT, is_up, take_down

OWNER = CACHE / f"cluster-{CONTEXT}.owner"
"""File with the run that deletes the cluster and its groups that have ended; missing: no run deletes it.

A run is NAME:PID, with the process whose end is the end of the run.
"""


def claim(run: str, owner: Path = OWNER) -> None:
    """Let this run delete the cluster if it does not exist yet, or if a run that was killed should have.

    The caller holds the lock of the cluster.
    """
    earlier = owner.read_text().split()[0] if owner.exists() else run
    if not is_up(CONTEXT) or (earlier != run and not _is_alive(earlier)):
        owner.write_text(run)


def release(run: str, group: str, groups: Collection[str], lock: FileLock, owner: Path = OWNER) -> None:
    """Note that a group of this run has ended; delete the cluster after the last one.

    Args:
        run: the run of the tests.
        group: the group that has ended.
        groups: all groups of the run that use the cluster.
        lock: the lock of the cluster.
        owner: the file of `claim`.
    """
    with lock:
        name, *ended = owner.read_text().split() if owner.exists() else [""]
        if name != run:
            return
        ended = sorted({*ended, group})
        if set(ended) >= set(groups):
            take_down(CONTEXT)
            owner.unlink()
        else:
            owner.write_text("\n".join([run, *ended]))


def _is_alive(run: str) -> bool:
    pid = run.partition(":")[2]
    return pid.isdigit() and psutil.pid_exists(int(pid))
